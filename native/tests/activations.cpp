// exp, sigmoid and tanh over counts that are no multiple of a vector, and at the ends. Their errors: tests/numerics/kernels.
#include "check.h"
#include "run.h"
#include "tests.h"

namespace throughtime::tests {
namespace {

template <class T>
void activations(const char* set, const Kernels<T>& kernels) {
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN(), largest = std::numeric_limits<T>::max();
    const T ends[] = {T(0), T(-0.0), inf, -inf, nan, largest, -largest, std::numeric_limits<T>::denorm_min(), T(1), T(-1), T(0.5)};
    constexpr i64 many = sizeof ends / sizeof ends[0];
    for (i64 count = 0; count <= 67; ++count) {
        Block<T> x(count);
        for (i64 i = 0; i < count; ++i) x[i] = ends[i % many];
        for (int function = 0; function < 3; ++function) {
            const Block<T> out(count);
            std::snprintf(context, sizeof context, "%s float%d function %d of %d numbers", set, static_cast<int>(8 * sizeof(T)), function,
                          static_cast<int>(count));
            kernels.activation(function, x.get(), out.get(), count);
            for (i64 i = 0; i < count; ++i) {
                const double from = static_cast<double>(x[i]), got = static_cast<double>(out[i]);
                const double right = function == 0 ? std::exp(from) : function == 1 ? 1.0 / (1.0 + std::exp(-from)) : std::tanh(from);
                const double bound = 3.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::fabs(right);
                const bool close = std::isnan(right) ? std::isnan(got)
                                                     : static_cast<T>(right) == out[i] || std::fabs(got - right) <= bound + 1e-37;
                CHECK(close, "of %g gives %g, but must be %g", from, got, right);
            }
        }
    }
}

}  // namespace

void test_activations() {
    int count = 0;
    const InstructionSet* const sets = instruction_sets(&count);
    for (int i = 0; i < count; ++i) {
        if (!sets[i].runs_here()) continue;
        activations(sets[i].name, *sets[i].float32);
        activations(sets[i].name, *sets[i].float64);
    }
}

}  // namespace throughtime::tests
