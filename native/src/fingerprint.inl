// Whether weights changed since they were packed. Counters of versions do not tell: fused optimisers, `.data` and views of
// other libraries write past them.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Each of the lanes mixes its share of the 4-byte words: h = (h + word) * odd; h ^= h >> 15. A step is a bijection of h and, for
// any h, of the word, so a single word that changes always changes its lane; then the lanes are mixed into one number in the
// same way. Without the shift a change of high bits would never reach lower ones: two signs that flip in a lane would cancel.
template <class T>
static std::uint64_t fingerprint(std::uint64_t start, const T* values, i64 count) {
    typedef std::uint32_t Words __attribute__((vector_size(kVectorBytes)));
    constexpr int kChains = 8;  // a step takes some cycles: several chains go at once
    constexpr i64 kAtOnce = kChains * kVectorBytes / static_cast<i64>(sizeof(T));
    Words state[kChains] = {};
    i64 i = 0;
    for (; i + kAtOnce <= count; i += kAtOnce) {
#pragma GCC unroll 8
        for (int c = 0; c < kChains; ++c) {
            Words words;
            __builtin_memcpy(&words, values + i + c * kAtOnce / kChains, sizeof words);
            state[c] = (state[c] + words) * 0x9e3779b1u;
            state[c] ^= state[c] >> 15;
        }
    }
    std::uint64_t mixed = start;
    const auto mix = [&mixed](std::uint64_t word) {
        mixed = (mixed ^ word) * 0x9e3779b97f4a7c15u;
        mixed ^= mixed >> 29;
    };
    for (const Words& lanes : state) {
        for (std::size_t w = 0; w < sizeof(Words) / 4; ++w) mix(lanes[w]);
    }
    for (; i < count; ++i) {
        std::uint64_t word = 0;
        __builtin_memcpy(&word, values + i, sizeof(T));
        mix(word);
    }
    mix(static_cast<std::uint64_t>(count));
    return mixed;
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
