// Maximum and mean of each feature over the tokens of each text, and their gradients.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Texts [first, last) of one thread, by equal shares of the tokens.
static inline i64 first_text(const Texts& texts, int thread, int threads) {
    const i64 from = texts.start[texts.count] * thread / threads;
    i64 low = 0, high = texts.count;
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (texts.start[middle] < from) low = middle + 1;
        else high = middle;
    }
    return low;
}

// One text, NV vectors of features from f on, of which the last has `real` lanes. A NaN stays the maximum.
template <class T, int NV>
static void pool_block(const Pool<T>& p, i64 text, i64 f, int real) {
    using V = Vec<T>;
    using I = typename Simd<T>::I;
    constexpr int L = kLanes<T>;
    const auto load_at = [&](i64 token, int j) {
        const T* from = p.values + token * p.features + f + j * L;
        return load_part(from, j == NV - 1 ? real : L);
    };
    const i64 first = p.texts.start[text], last = p.texts.start[text + 1];
    V highest[NV], sum[NV];
    I at[NV];
    I here = I{} + static_cast<Index<T>>(first);
    for (int j = 0; j < NV; ++j) {
        highest[j] = sum[j] = load_at(first, j);
        at[j] = here;
    }
    for (i64 token = first + 1; token < last; ++token) {
        here += 1;
        for (int j = 0; j < NV; ++j) {
            const V v = load_at(token, j);
            const I higher = ~(v <= highest[j]) & (highest[j] == highest[j]);
            highest[j] = higher ? v : highest[j];
            at[j] = higher ? here : at[j];
            sum[j] += v;
        }
    }
    const T length = static_cast<T>(last - first);
    for (int j = 0; j < NV; ++j) {
        const i64 to = text * p.features + f + j * L;
        const int n = j == NV - 1 ? real : L;
        if (p.maximum != nullptr) {
            store_part(p.maximum + to, highest[j], n);
            __builtin_memcpy(p.at + to, &at[j], sizeof(T) * static_cast<std::size_t>(n));
        }
        if (p.mean != nullptr) store_part(p.mean + to, sum[j] / length, n);
    }
}

template <class T>
static void pool(const Pool<T>& p, int threads) {
    constexpr i64 width = kBlocks * kLanes<T>;
    in_threads(threads_for(threads, p.texts.count, p.texts.start[p.texts.count] * p.features), [&](int thread, int count) {
        const i64 end = first_text(p.texts, thread + 1, count);
        for (i64 text = first_text(p.texts, thread, count); text < end; ++text) {
            for (i64 f = 0; f < p.features; f += width) {
                const i64 left = least(width, p.features - f);
                with_constant<kBlocks>(static_cast<int>(ceil_div(left, kLanes<T>)), [&](auto vectors) {
                    constexpr int NV = decltype(vectors)::value;
                    pool_block<T, NV>(p, text, f, static_cast<int>(left - (NV - 1) * kLanes<T>));
                });
            }
        }
    });
}

template <class T>
static void pool_backward(const PoolBackward<T>& p, int threads) {
    const i64 F = p.features;
    in_threads(threads_for(threads, p.texts.count, p.texts.start[p.texts.count] * F), [&](int thread, int count) {
        const i64 end = first_text(p.texts, thread + 1, count);
        for (i64 text = first_text(p.texts, thread, count); text < end; ++text) {
            const i64 first = p.texts.start[text], last = p.texts.start[text + 1];
            T* const rows = p.d_values + first * F;
            const T length = static_cast<T>(last - first);
            // The first row is computed, the others are copies of it.
            for (i64 f = 0; f < F; ++f) rows[f] = p.d_mean != nullptr ? p.d_mean[text * F + f] / length : T(0);
            for (i64 i = 1; i < last - first; ++i) __builtin_memcpy(rows + i * F, rows, static_cast<std::size_t>(F) * sizeof(T));
            for (i64 f = 0; p.d_maximum != nullptr && f < F; ++f) {
                p.d_values[p.at[text * F + f] * F + f] += p.d_maximum[text * F + f];
            }
        }
    });
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
