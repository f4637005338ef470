// What this machine can do at most, for the best instruction set that it has: products, reads, activations, with so many threads
// at work at once. Prints JSON; benchmarks/limits.py sets measured layers beside it.
//
// Compiled for the machine that it runs on.
#define THROUGHTIME_NAMESPACE limits
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "simd.h"

#include "activations.inl"
#include "product.inl"

namespace {

using namespace throughtime;
using namespace throughtime::limits;
using V = Vec<float>;

constexpr int kRounds = 7;

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The shortest time of a round in which each thread calls f(thread) once, at the same time as the others: that of the slowest.
template <class F>
double fastest(int threads, F&& f) {
    double best = 1e30;
    for (int round = 0; round < kRounds; ++round) {
        std::vector<double> times(static_cast<std::size_t>(threads));
        int working = 0;
#pragma omp parallel num_threads(threads)
        {
#pragma omp master
            working = omp_get_num_threads();
#pragma omp barrier
            const double start = seconds();
            f(omp_get_thread_num());
            times[static_cast<std::size_t>(omp_get_thread_num())] = seconds() - start;
        }
        if (working != threads) {
            std::fprintf(stderr, "only %d of %d threads can work at once here\n", working, threads);
            std::exit(1);
        }
        best = std::min(best, *std::max_element(times.begin(), times.end()));
    }
    return best;
}

// A result that the compiler must compute.
void used(V v) {
#if defined(__x86_64__) || defined(__i386__)
    asm volatile("" : : "x"(v));
#else
    static volatile float sink;
    sink = v[0];
#endif
}

// Operations a second of fused multiply-adds whose factors and sums stay in registers: as many sums as hide the latency. For
// some seconds: the clock that a processor keeps for a moment is not the one of long work.
double product_rate(int threads) {
    constexpr int kSums = 10;
    constexpr i64 kTimes = 100000000;
    const double time = fastest(threads, [&](int) {
        V sums[kSums];
        const V a = held<float>(Simd<float>::broadcast(0.999f)), b = held<float>(Simd<float>::broadcast(0.001f));
        for (V& sum : sums) sum = a;
        for (i64 i = 0; i < kTimes; ++i) {
#pragma GCC unroll 16
            for (V& sum : sums) sum = held<float>(Simd<float>::fma(sum, a, b));
        }
        for (V& sum : sums) used(sum);
    });
    return 2.0 * kLanes<float> * kSums * static_cast<double>(kTimes) * threads / time;
}

// Bytes a second, of all threads, that each reads over and over from `bytes` of its own.
double read_rate(int threads, i64 bytes) {
    constexpr i64 kStride = 8 * kLanes<float>;
    const i64 count = bytes / static_cast<i64>(sizeof(float)) / kStride * kStride;
    const i64 times = std::max<i64>(1, (i64{1} << 30) / bytes);
    std::vector<std::unique_ptr<float, decltype(&std::free)>> blocks;
    for (int thread = 0; thread < threads; ++thread) {
        void* const block = std::aligned_alloc(64, static_cast<std::size_t>(count) * sizeof(float));
        blocks.emplace_back(static_cast<float*>(block), &std::free);
        std::fill_n(blocks.back().get(), count, 1.0f);
    }
    const double time = fastest(threads, [&](int thread) {
        const float* const from = blocks[static_cast<std::size_t>(thread)].get();
        V sums[8]{};
        for (i64 round = 0; round < times; ++round) {
            for (i64 i = 0; i < count; i += kStride) {
#pragma GCC unroll 8
                for (int j = 0; j < 8; ++j) sums[j] += load(from + i + j * kLanes<float>);
            }
        }
        for (V& sum : sums) used(sum);
    });
    return static_cast<double>(count) * sizeof(float) * static_cast<double>(times) * threads / time;
}

// Values a second of all threads, from the first cache to the first cache.
template <class F>
double activation_rate(int threads, F&& f) {
    constexpr i64 kValues = 1024, kTimes = 20000;
    const double time = fastest(threads, [&](int) {
        alignas(64) float in[kValues], out[kValues];
        for (i64 i = 0; i < kValues; ++i) in[i] = static_cast<float>(i % 97 - 48) * 0.1f;
        for (i64 round = 0; round < kTimes; ++round) {
            for (i64 i = 0; i < kValues; i += kLanes<float>) store(out + i, f(load(in + i)));
            asm volatile("" : : "r"(in), "r"(out) : "memory");  // all of it, again each round
        }
    });
    return static_cast<double>(kValues) * kTimes * threads / time;
}

}  // namespace

int main(int count, char** arguments) {
    const int threads = count == 2 ? std::atoi(arguments[1]) : 0;
    if (threads < 1) {
        std::fprintf(stderr, "usage: core_limits THREADS\n");
        return 2;
    }
    std::printf("{\"lanes\": %d, \"threads\": %d, \"flops\": %.4g, \"sigmoids\": %.4g, \"tanhs\": %.4g, \"reads\": [",
                kLanes<float>, threads, product_rate(threads), activation_rate(threads, [](V v) { return sigmoid<float>(v); }),
                activation_rate(threads, [](V v) { return hyperbolic_tangent<float>(v); }));
    for (i64 kilobytes = 16; kilobytes <= 32768; kilobytes *= 2) {
        const i64 bytes = kilobytes << 10;
        std::printf("%s[%lld, %.4g]", kilobytes == 16 ? "" : ", ", static_cast<long long>(bytes), read_rate(threads, bytes));
    }
    std::printf("]}\n");
    return 0;
}
