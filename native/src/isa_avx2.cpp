#define THROUGHTIME_NAMESPACE avx2
#include "kernels.inl"

namespace throughtime {

const Kernels<float>* avx2_float32() { return avx2::kernels<float>(); }
const Kernels<double>* avx2_float64() { return avx2::kernels<double>(); }

}  // namespace throughtime
