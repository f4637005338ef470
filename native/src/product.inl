// The one inner loop of everything: acc[r][j] += sum over k of a(r, k) * panel[k][j], for R rows and NV vectors.
//
// A panel is (K, NV * lanes), contiguous: NV vectors of outputs for each k. All R * NV sums stay in registers. Each of them
// adds its products one after the other in the order of k, so a row's result does not depend on the rows beside it.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Rows of the largest tile with NV vectors a row.
constexpr int max_rows(int nv) { return nv == 4 ? kRowsOfFour : nv == 3 ? kRowsOfFour * 4 / 3 : 8; }
constexpr int kMostRows = 8;

// a[r] points at row r; k runs over 0..K-1 of each.
template <class T, int R, int NV>
static inline __attribute__((always_inline)) void product(const T* const* rows, i64 K, const T* panel,
                                                          Vec<T> (&acc)[R][NV]) {
    const T* a[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) a[r] = rows[r];
    for (i64 k = 0; k < K; ++k, panel += NV * kLanes<T>) {
        Vec<T> w[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) w[j] = load(panel + j * kLanes<T>);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vec<T> b = Simd<T>::broadcast(a[r][k]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[r][j] = Simd<T>::fma(b, w[j], acc[r][j]);
        }
    }
}

// Row r of the left factor is column r of `a`: a(r, k) = a[k * stride + r].
template <class T, int R, int NV>
static inline __attribute__((always_inline)) void product_of_columns(const T* a, i64 stride, i64 K, const T* panel,
                                                                     Vec<T> (&acc)[R][NV]) {
    for (i64 k = 0; k < K; ++k, panel += NV * kLanes<T>, a += stride) {
        Vec<T> w[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) w[j] = load(panel + j * kLanes<T>);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vec<T> b = Simd<T>::broadcast(a[r]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[r][j] = Simd<T>::fma(b, w[j], acc[r][j]);
        }
    }
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
