// Everything that is compiled once for each instruction set. The including file defines THROUGHTIME_NAMESPACE.
#include "simd.h"
#include "team.h"
#include "threads.h"
#include "workspace.h"

#include "activations.inl"
#include "product.inl"
#include "layout.inl"
#include "forward_cells.inl"
#include "forward.inl"
#include "variants.inl"
#include "variant_cells.inl"
#include "variant_forward.inl"
#include "backward_cells.inl"
#include "backward.inl"
#include "variant_back_cells.inl"
#include "variant_backward.inl"
#include "weight_gradient.inl"
#include "gradients.inl"
#include "pooling.inl"
#include "fingerprint.inl"

namespace throughtime::THROUGHTIME_NAMESPACE {

template <class T>
static void activation(int function, const T* in, T* out, i64 count) {
    for (i64 i = 0; i < count; i += kLanes<T>) {
        const int n = static_cast<int>(least(kLanes<T>, count - i));
        const Vec<T> x = load_part(in + i, n);
        store_part(out + i, function == 0 ? exponential<T>(x) : function == 1 ? sigmoid<T>(x) : hyperbolic_tangent<T>(x), n);
    }
}

template <class T>
static const Kernels<T>* kernels() {
    static constexpr Kernels<T> table{kLanes<T>,  sizes<T>,   pack<T>,    forward<T>, backward<T>, project<T>,
                                      project_backward<T>, scatter<T>, pool<T>, pool_backward<T>, fingerprint<T>, activation<T>};
    return &table;
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
