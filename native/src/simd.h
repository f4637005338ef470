// Vectors of one instruction set. Compiled once per set, in a namespace of its own (THROUGHTIME_NAMESPACE): an inline
// function that two sets shared could be taken by the linker from the wrong one. For the same reason nothing here and in
// the .inl files uses inline functions of the standard library.
//
// GCC's and Clang's vector types give arithmetic, comparison and selection; only what they lack is written with
// intrinsics. Sums are fused (fma) where the set has it and never otherwise contracted by the compiler
// (-ffp-contract=off), so that every tile size adds the same numbers in the same way.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "throughtime/layer.h"

namespace throughtime::THROUGHTIME_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRowsOfFour = 6;  // rows of a tile with 4 vectors a row: 24 of 32 registers
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRowsOfFour = 3;  // 12 of 16
#else
constexpr int kVectorBytes = 16;
constexpr int kRowsOfFour = 2;  // 8 of 16: without fma, products need registers too
#endif

template <class T>
struct Simd;

template <>
struct Simd<float> {
    typedef float V __attribute__((vector_size(kVectorBytes)));
    typedef Index<float> I __attribute__((vector_size(kVectorBytes)));
    static constexpr int lanes = kVectorBytes / 4;

    // By intrinsics: `V{} + x` would add, which is not the same for -0.
    static V broadcast(float x) {
#if defined(__AVX512F__)
        return (V)_mm512_set1_ps(x);
#elif defined(__AVX2__)
        return (V)_mm256_set1_ps(x);
#else
        return V{x, x, x, x};
#endif
    }
    static V fma(V a, V b, V c) {
#if defined(__AVX512F__)
        return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
        return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
        return a * b + c;
#endif
    }
    // The lesser and the greater of bound and x; x where it is NaN.
    static V at_most(V x, float bound) {
#if defined(__AVX512F__)
        return (V)_mm512_min_ps((__m512)broadcast(bound), (__m512)x);
#elif defined(__AVX2__)
        return (V)_mm256_min_ps((__m256)broadcast(bound), (__m256)x);
#else
        return x > bound ? broadcast(bound) : x;
#endif
    }
    static V at_least(V x, float bound) {
#if defined(__AVX512F__)
        return (V)_mm512_max_ps((__m512)broadcast(bound), (__m512)x);
#elif defined(__AVX2__)
        return (V)_mm256_max_ps((__m256)broadcast(bound), (__m256)x);
#else
        return x < bound ? broadcast(bound) : x;
#endif
    }
    // 1 / a to 1 unit in the last place, for a in 1..2^126 or NaN.
    static V reciprocal(V a) {
#if defined(__AVX512F__)
        const V r = (V)_mm512_maskz_rcp14_ps(0xffff, (__m512)a);  // 14 bits; Newton's step doubles them
        return fma(r, fma(-a, r, broadcast(1.0f)), r);
#else
        return 1.0f / a;
#endif
    }
};

template <>
struct Simd<double> {
    typedef double V __attribute__((vector_size(kVectorBytes)));
    typedef Index<double> I __attribute__((vector_size(kVectorBytes)));
    static constexpr int lanes = kVectorBytes / 8;

    static V broadcast(double x) {
#if defined(__AVX512F__)
        return (V)_mm512_set1_pd(x);
#elif defined(__AVX2__)
        return (V)_mm256_set1_pd(x);
#else
        return V{x, x};
#endif
    }
    static V fma(V a, V b, V c) {
#if defined(__AVX512F__)
        return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
        return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
        return a * b + c;
#endif
    }
    static V at_most(V x, double bound) { return x > bound ? broadcast(bound) : x; }
    static V at_least(V x, double bound) { return x < bound ? broadcast(bound) : x; }
    static V reciprocal(V a) { return 1.0 / a; }
};

template <class T>
using Vec = typename Simd<T>::V;

template <class T>
constexpr int kLanes = Simd<T>::lanes;

template <class T>
static inline Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
static inline void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// The first n lanes, 0 in the others; n may be kLanes.
template <class T>
static inline Vec<T> load_part(const T* p, int n) {
    if (n == kLanes<T>) return load(p);
    Vec<T> v{};
    __builtin_memcpy(&v, p, sizeof(T) * static_cast<std::size_t>(n));
    return v;
}

template <class T>
static inline void store_part(T* p, Vec<T> v, int n) {
    if (n == kLanes<T>) return store(p, v);
    __builtin_memcpy(p, &v, sizeof(T) * static_cast<std::size_t>(n));
}

static inline i64 least(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 most(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }

template <class T>
static inline i64 padded(i64 size) {
    return ceil_div(size, kLanes<T>) * kLanes<T>;
}

// A number known to the compiler, to pass through a generic lambda.
template <int N>
struct Constant {
    static constexpr int value = N;
};

// f(Constant<n>) for a run-time n in 1..MAX.
template <int MAX, class F>
static inline void with_constant(int n, F&& f) {
    if constexpr (MAX > 1) {
        if (n < MAX) return with_constant<MAX - 1>(n, f);
    }
    f(Constant<MAX>{});
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
