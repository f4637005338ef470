// The product that a weight's gradient is: sum over tokens of d_gates columns times the rows of the other factor.

namespace throughtime::THROUGHTIME_NAMESPACE {

constexpr i64 kTokens = 128;  // of a chunk: d_gates and inputs of so many tokens stay in the second cache

// One gradient of a weight: sum over tokens of d_gates columns [first_slot, + slots) times the rows of one other factor.
struct WeightProduct {
    int first_slot, slots;
    i64 columns;         // of the other factor: I, H or P
    int first_gate = 0;  // the first slot as `gate` counts
};

// The next chunk's rows, on their way from far memory to the second cache while this chunk is multiplied: they are read a few
// lines a row, which the processor's own prefetching does not follow. A few lines at a time: many would wait for each other, and
// the product behind them.
template <class T>
class NextRows {
public:
    // `length` elements of each of `count` rows, `stride` apart, or where `rows` says.
    void add(const T* first, i64 stride, i64 length, i64 count) { add({first, nullptr, stride, length, count}); }
    void add(const T* const* rows, i64 length, i64 count) { add({nullptr, rows, 0, length, count}); }

    static constexpr i64 kEvery = 8;  // tokens of a tile

    void go_on() {
        for (int lines = 0; lines < kLinesAtOnce && source_ < sources_; ++lines) {
            const Source& from = source_at_[source_];
            const T* const row = from.rows != nullptr ? from.rows[row_] : from.first + row_ * from.stride;
            __builtin_prefetch(row + column_, 0, 2);
            if ((column_ += kLine) < from.length) continue;
            column_ = 0;
            if (++row_ < from.count) continue;
            row_ = 0;
            ++source_;
        }
    }

private:
    static constexpr i64 kLine = 64 / static_cast<i64>(sizeof(T));
    static constexpr int kLinesAtOnce = 3;  // 48 a tile: enough for a chunk's

    struct Source {
        const T* first;
        const T* const* rows;
        i64 stride, length, count;
    };
    void add(const Source& source) {
        if (source.length > 0 && source.count > 0) source_at_[sources_++] = source;
    }

    Source source_at_[4];
    int sources_ = 0, source_ = 0;
    i64 row_ = 0, column_ = 0;
};

// Accumulates d_weight (its rows by slot, in torch's order) over chunks of tokens. A thread has some columns of d_gates, so
// that no sum depends on the number of threads. Each chunk is summed in registers, and chunks one after the other.
//
// The other factor of a chunk is packed into panels by blocks. A panel stays in the first cache while the tiles of a group, a few
// columns of d_gates each, pass by: the lines of some tiles, one a token, fit beside it.
template <class T>
class WeightGradient {
public:
    static constexpr int L = kLanes<T>;
    static constexpr i64 kWidth = kBlocks * L;
    static constexpr int kTile = kRowsOfFour;
    static constexpr i64 kGroup = 264;  // columns of d_gates that stay in the second cache for all panels: pairs of tiles
    static_assert(kGroup % (2 * kTile) == 0);

    WeightGradient(const Layout<T>& lay, const WeightProduct& product, int thread, int threads)
        : lay_(lay), product_(product) {
        all_ = product.slots * lay.Hp;
        const i64 tiles = ceil_div(all_, kTile);
        first_ = least(all_, tiles * thread / threads * kTile);
        last_ = least(all_, tiles * (thread + 1) / threads * kTile);
        panels_ = ceil_div(product.columns, kWidth);
    }

    // This thread's columns of d_gates: [first, last), of all the slots'.
    i64 first_column() const { return product_.first_slot * lay_.Hp + first_; }
    i64 columns() const { return last_ - first_; }

    // All threads together: by panel (columns of d_gates, columns of the panel), zero at first.
    static i64 sums_size(const Layout<T>& lay, const WeightProduct& p) {
        return p.slots * lay.Hp * ceil_div(p.columns, kWidth) * kWidth;
    }
    // Of one thread: the other factors' panels of a chunk.
    static i64 panels_size(i64 columns) { return kTokens * ceil_div(columns, kWidth) * kWidth; }

    void clear(T* sums) const {
        for (i64 p = 0; p < panels_; ++p) {
            __builtin_memset(sums_at(sums, p, first_), 0, static_cast<std::size_t>((last_ - first_) * kWidth) * sizeof(T));
        }
    }

    // One of the gradients that `add` adds to: the rows of its other factor, its sums, and what each row is multiplied by, or null.
    struct Term {
        const WeightGradient& gradient;
        const T* const* rows;
        T* sums;
        const T* const* masks = nullptr;
    };

    // Adds `count` <= kTokens tokens, their d_gates rows gates_stride apart, to gradients of the same columns of d_gates.
    template <int N>
    static void add(const T* d_gates, i64 gates_stride, i64 count, const Term (&terms)[N], NextRows<T>& ahead, T* work) {
        const i64 first_column = terms[0].gradient.first_, last_column = terms[0].gradient.last_;
        if (first_column == last_column) return;
        d_gates += terms[0].gradient.product_.first_slot * terms[0].gradient.lay_.Hp;
        T* to = work;
        for (const Term& term : terms) {
            for (i64 p = 0; p < term.gradient.panels_; ++p, to += kTokens * kWidth) {
                term.gradient.pack_panel(term.rows, term.masks, count, p, to);
            }
        }
        for (i64 first = first_column; first < last_column; first += kGroup) {
            const i64 columns = least(kGroup, last_column - first);
            const T* panel = work;
            for (const Term& term : terms) {
                for (i64 p = 0; p < term.gradient.panels_; ++p, panel += kTokens * kWidth) {
                    with_constant<kBlocks>(term.gradient.vectors(p), [&](auto nv) {
                        T* const sums = term.gradient.sums_at(term.sums, p, first);
                        add_panel<decltype(nv)::value>(d_gates + first, gates_stride, count, columns, panel, sums, ahead);
                    });
                }
            }
        }
    }

    // This thread's rows into d_weight (G*H, columns).
    void write(const T* sums, T* d_weight) const {
        for (i64 row = first_; row < last_; ++row) {
            const i64 unit = row % lay_.Hp;
            if (unit >= lay_.H) continue;
            const int slot = product_.first_gate + static_cast<int>(row / lay_.Hp);
            T* const out = d_weight + (lay_.gate(slot) * lay_.H + unit) * product_.columns;
            for (i64 p = 0; p < panels_; ++p) {
                __builtin_memcpy(out + p * kWidth, sums_at(sums, p, row),
                                 static_cast<std::size_t>(least(kWidth, product_.columns - p * kWidth)) * sizeof(T));
            }
        }
    }

private:
    int vectors(i64 p) const { return static_cast<int>(ceil_div(least(kWidth, product_.columns - p * kWidth), L)); }
    template <class E>
    E* sums_at(E* sums, i64 p, i64 row) const {
        return sums + (p * all_ + row) * kWidth;
    }

    void pack_panel(const T* const* rows, const T* const* masks, i64 count, i64 p, T* panel) const {
        const i64 from = p * kWidth, real = least(kWidth, product_.columns - from);
        for (i64 i = 0; i < count; ++i) {
            T* const out = panel + i * vectors(p) * L;
            if (real == kWidth && masks == nullptr) {
                __builtin_memcpy(out, rows[i] + from, kWidth * sizeof(T));
                continue;
            }
            for (int j = 0; j < vectors(p); ++j) {
                const int n = static_cast<int>(least(L, real - j * L));
                const Vec<T> row = load_part(rows[i] + from + j * L, n);
                store(out + j * L, masks == nullptr ? row : row * load_part(masks[i] + from + j * L, n));
            }
        }
    }

    template <int NV>
    static void add_panel(const T* d_gates, i64 stride, i64 count, i64 columns, const T* panel, T* sums, NextRows<T>& ahead) {
        i64 c = 0;
        if constexpr (NV <= 2) {  // sums enough to keep the processor busy
            for (; c + 2 * kTile <= columns; c += 2 * kTile) {
                add_tile<2 * kTile, NV>(d_gates + c, stride, count, panel, sums + c * kWidth, ahead);
            }
        }
        for (; c < columns; c += kTile) {
            with_constant<kTile>(static_cast<int>(least(kTile, columns - c)), [&](auto size) {
                add_tile<decltype(size)::value, NV>(d_gates + c, stride, count, panel, sums + c * kWidth, ahead);
            });
        }
    }

    template <int R, int NV>
    static THROUGHTIME_INLINE void add_tile(const T* d_gates, i64 stride, i64 count, const T* panel, T* sums, NextRows<T>& ahead) {
        Vec<T> acc[R][NV]{};
        for (i64 some = 0; some < count; some += NextRows<T>::kEvery) {
            ahead.go_on();
#pragma GCC unroll kUnrolled
            for (i64 k = some; k < least(count, some + NextRows<T>::kEvery); ++k, panel += NV * L, d_gates += stride) {
                // Where the first cache does not hold it whole; with AVX2 it cost more than it saved.
                if constexpr (kVectorBytes == 64) prefetch_panel<T, NV>(panel);
                __builtin_prefetch(d_gates + 2 * R - 1);  // the next tile's
                add_products<T, R, NV>([&](int r) { return d_gates[r]; }, panel, acc);
            }
        }
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r, sums += kWidth) {
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) store(sums + j * L, load(sums + j * L) + acc[r][j]);
        }
    }

    Layout<T> lay_;
    WeightProduct product_;
    i64 all_, first_, last_, panels_;
};

}  // namespace throughtime::THROUGHTIME_NAMESPACE
