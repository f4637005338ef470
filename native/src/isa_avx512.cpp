#define THROUGHTIME_NAMESPACE avx512
#include "kernels.inl"

namespace throughtime {

const Kernels<float>* avx512_float32() { return avx512::kernels<float>(); }
const Kernels<double>* avx512_float64() { return avx512::kernels<double>(); }

}  // namespace throughtime
