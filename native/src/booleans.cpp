#include "throughtime/booleans.h"

#include <algorithm>
#include <cstring>

#include "threads.h"

namespace throughtime {
namespace {

constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;
constexpr int kPerWord = 4;
constexpr i64 kWorthThreads = 1 << 16;  // booleans

std::uint64_t mixed(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

}  // namespace

void draw_booleans(std::uint64_t start, int level, i64 count, std::uint8_t* out, int threads) {
    const i64 words = (count + kPerWord - 1) / kPerWord;
    in_threads(count < kWorthThreads ? 1 : threads, [&](int thread, int parts) {
        const i64 last = words * (thread + 1) / parts;
        const auto limit = static_cast<std::int16_t>(level);
        std::uint64_t z = start + static_cast<std::uint64_t>(words * thread / parts) * kStep;
        for (i64 w = words * thread / parts; w < last; ++w, z += kStep) {
            const std::uint64_t word = mixed(z);
            std::uint8_t four[kPerWord];
            for (int i = 0; i < kPerWord; ++i) four[i] = static_cast<std::int16_t>(word >> (16 * i)) < limit;
            const i64 first = w * kPerWord;
            std::memcpy(out + first, four, static_cast<std::size_t>(std::min<i64>(kPerWord, count - first)));
        }
    });
}

}  // namespace throughtime
