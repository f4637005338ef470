// exp, sigmoid and tanh from one core: y = n ln 2 + r with |r| <= ln 2 / 2, and e^r - 1 as a polynomial.
//
// Errors against the exact value, over the whole range of float32 and of float64 (tests/numerics/kernels): exp at most 2
// units in the last place, sigmoid and tanh at most 3. NaN gives NaN; exp(-inf) = 0, exp(inf) = inf; tanh reaches -1 and
// 1, and keeps the sign of 0. sigmoid reaches 1, but not 0: where it would be less than e^-87.25 (float64: e^-708), so for
// -inf too, it is that.

namespace throughtime::THROUGHTIME_NAMESPACE {

// q of e^r = 1 + r + r^2 q(r): Chebyshev interpolation of degree 4 (error 1.0e-8 of e^r) and 9 (1.7e-17).
template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
    static constexpr float q[] = {0.5f, 0.166665769897f, 0.0416665546172f, 0.00836317905272f, 0.00139261835877f};
    static constexpr float log2_e = 1.44269504089f;
    static constexpr float ln2_high = 0.693145751953125f;  // few bits: times any n it is exact
    static constexpr float ln2_low = 1.42860682031e-6f;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds, and leaves n in the low bits
    static constexpr int mantissa = 23;
    static constexpr std::int32_t bias = 127;
    static constexpr float largest = 87.25f;     // e^largest and its reciprocal are normal; sigmoid is 1 or nearly 0
    static constexpr float saturation = 10.0f;   // tanh is 1 from here
    static constexpr float overflow = 89.0f, underflow = -104.0f;
};

template <>
struct ExpConstants<double> {
    static constexpr double q[] = {0.50000000000000010221,    0.16666666666666667453,   0.041666666666624127873,
                                   0.0083333333333300618325,  0.0013888888917213716901, 0.00019841269863053616878,
                                   0.000024801521295954375131, 2.7557268459997064772e-6, 2.7620088445409748161e-7,
                                   2.5100385495510319078e-8};
    static constexpr double log2_e = 1.4426950408889634074;
    static constexpr double ln2_high = 0.6931471805598903;
    static constexpr double ln2_low = 5.4979230187083711747e-14;
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr int mantissa = 52;
    static constexpr std::int64_t bias = 1023;
    static constexpr double largest = 708.0;
    static constexpr double saturation = 20.0;
    static constexpr double overflow = 710.0, underflow = -746.0;
};

template <class T>
struct Reduced {
    Vec<T> e_r_minus_1;
    typename Simd<T>::I n;
};

template <class T>
static inline Reduced<T> reduce_exp(Vec<T> y) {
    using S = Simd<T>;
    using C = ExpConstants<T>;
    const Vec<T> shifted = S::fma(y, S::broadcast(C::log2_e), S::broadcast(C::magic));
    const Vec<T> n = shifted - S::broadcast(C::magic);
    Vec<T> r = S::fma(n, S::broadcast(-C::ln2_high), y);
    r = S::fma(n, S::broadcast(-C::ln2_low), r);
    constexpr int degree = sizeof(C::q) / sizeof(C::q[0]) - 1;
    Vec<T> q = S::broadcast(C::q[degree]);
#pragma GCC unroll 16
    for (int i = degree - 1; i >= 0; --i) q = S::fma(q, r, S::broadcast(C::q[i]));
    const auto whole = (typename S::I)shifted - (typename S::I)S::broadcast(C::magic);
    return {S::fma(r * r, q, r), whole};
}

// 2^n for n in the range of normal numbers.
template <class T>
static inline Vec<T> power_of_two(typename Simd<T>::I n) {
    return (Vec<T>)((n + ExpConstants<T>::bias) << ExpConstants<T>::mantissa);
}

template <class T>
static inline Vec<T> exponential(Vec<T> y) {
    using C = ExpConstants<T>;
    const Reduced<T> e = reduce_exp<T>(Simd<T>::at_least(Simd<T>::at_most(y, C::overflow), C::underflow));
    // In two factors, so that results near the ends of the range neither overflow nor vanish too early.
    const auto half = e.n >> 1;
    return (e.e_r_minus_1 + T(1)) * power_of_two<T>(half) * power_of_two<T>(e.n - half);
}

// 1 / (1 + e^-x)
template <class T>
static inline Vec<T> sigmoid(Vec<T> x) {
    using C = ExpConstants<T>;
    const Reduced<T> e = reduce_exp<T>(Simd<T>::at_least(Simd<T>::at_most(-x, C::largest), -C::largest));
    const Vec<T> scale = power_of_two<T>(e.n);
    return Simd<T>::reciprocal(Simd<T>::fma(e.e_r_minus_1, scale, scale) + T(1));
}

// sign(x) m / (m + 2) with m = e^(2|x|) - 1, which keeps the relative precision of small x.
template <class T>
static inline Vec<T> hyperbolic_tangent(Vec<T> x) {
    using S = Simd<T>;
    using C = ExpConstants<T>;
    using I = typename S::I;
    const I sign = (I)x & (I)S::broadcast(T(-0.0));
    const Vec<T> magnitude = (Vec<T>)((I)x ^ sign);
    const Reduced<T> e = reduce_exp<T>(S::at_most(magnitude + magnitude, T(2) * C::saturation));
    const Vec<T> scale = power_of_two<T>(e.n);
    const Vec<T> m = S::fma(e.e_r_minus_1, scale, scale - T(1));
    return (Vec<T>)((I)(m * S::reciprocal(m + T(2))) | sign);
}

template <class T, Nonlinearity PHI>
static inline Vec<T> apply(Vec<T> a) {
    if constexpr (PHI == Nonlinearity::tanh) return hyperbolic_tangent<T>(a);
    if constexpr (PHI == Nonlinearity::sigmoid) return sigmoid<T>(a);
    if constexpr (PHI == Nonlinearity::relu) return a < Vec<T>{} ? Vec<T>{} : a;  // NaN stays
    return a;
}

// The derivative of apply<PHI>, from its value h.
template <class T, Nonlinearity PHI>
static inline Vec<T> slope(Vec<T> h) {
    const Vec<T> one = Simd<T>::broadcast(T(1));
    if constexpr (PHI == Nonlinearity::tanh) return one - h * h;
    if constexpr (PHI == Nonlinearity::sigmoid) return h * (one - h);
    if constexpr (PHI == Nonlinearity::relu) return h > Vec<T>{} ? one : Vec<T>{};
    return one;
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
