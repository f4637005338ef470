// Runs all tests of the core, on every instruction set that this machine has; the exit code says whether one failed.
#include <omp.h>

#include "check.h"
#include "tests.h"
#include "throughtime/layer.h"

int main() {
    using namespace throughtime;
    int count = 0;
    const InstructionSet* const sets = instruction_sets(&count);
    for (int i = 0; i < count; ++i) std::printf("%s: %s\n", sets[i].name, sets[i].runs_here() ? "tested" : "not on this machine");
    int threads = 0;
#pragma omp parallel num_threads(2)
#pragma omp atomic
    ++threads;
    std::printf("a team of 2 has %d threads\n", threads);
    tests::test_activations();
    tests::test_projection();
    tests::test_pooling();
    tests::test_sharing();
    tests::test_booleans();
    tests::test_cells();
    if (tests::failures > 0) std::fprintf(stderr, "%d checks failed\n", tests::failures);
    else std::printf("all checks passed\n");
    return tests::failures > 0 ? 1 : 0;
}
