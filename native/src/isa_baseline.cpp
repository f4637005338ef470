#define THROUGHTIME_NAMESPACE baseline
#include "kernels.inl"

namespace throughtime {

const Kernels<float>* baseline_float32() { return baseline::kernels<float>(); }
const Kernels<double>* baseline_float64() { return baseline::kernels<double>(); }

}  // namespace throughtime
