#include "throughtime/layer.h"

namespace throughtime {

const Kernels<float>* baseline_float32();
const Kernels<double>* baseline_float64();
#if defined(THROUGHTIME_X86)
const Kernels<float>* avx2_float32();
const Kernels<double>* avx2_float64();
const Kernels<float>* avx512_float32();
const Kernels<double>* avx512_float64();
#endif

const InstructionSet* instruction_sets(int* count) {
    static const InstructionSet sets[] = {
#if defined(THROUGHTIME_X86)
        {"avx512",
         [] {
             return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
         },
         avx512_float32(), avx512_float64()},
        {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2_float32(), avx2_float64()},
#endif
        {"baseline", [] { return true; }, baseline_float32(), baseline_float64()},
    };
    *count = static_cast<int>(sizeof sets / sizeof sets[0]);
    return sets;
}

}  // namespace throughtime
