// What the variants' passes share: products whose sums go to memory, layer normalisation, zoneout, a variant's vectors.
//
// A plain layer's cells need the sums of one tile each. A variant needs a unit's whole row of sums (layer normalisation), or more
// values than there are registers: its step is a product into rows of memory, then passes over those rows, which the nearest
// cache still holds. Equations: docs/derivations.

namespace throughtime::THROUGHTIME_NAMESPACE {

// out[row] (slots, each `stride` apart) = left[row] (K) * a matrix in panels by gates; blocks [first, last) of each slot.
// ahead(R, row, p): before the product of a tile.
template <class T, int SLOTS, class Ahead>
static void multiply_by_gates(const T* const* left, i64 rows, i64 K, const T* packed, i64 stride, i64 first, i64 last, T* const* out,
                              Ahead&& ahead) {
    constexpr int L = kLanes<T>;
    for (i64 p = first; p < last; ++p) {
        for_tiles<SLOTS>(rows, [&](auto tile, i64 row) {
            constexpr int R = decltype(tile)::value;
            Vec<T> acc[R][SLOTS];
            T* to[R];
            for (int r = 0; r < R; ++r) to[r] = out[row + r] + p * L;
            ahead(tile, row, p);
            product_for_cell<T, R, SLOTS, false>(left + row, K, packed + p * K * SLOTS * L, acc);
            for (int r = 0; r < R; ++r) {
                for (int j = 0; j < SLOTS; ++j) store(to[r] + j * stride, acc[r][j]);
            }
        });
    }
}

static const auto nothing_comes = [](auto, auto, i64, i64) { return NothingComes{}; };

// The same with a matrix in panels by blocks, of which there are `blocks`; panels [first, last). With ADD to what is there.
// lines(R, NB, row, p): what comes meanwhile.
template <class T, bool ADD, class Lines>
static void multiply_by_blocks(const T* const* left, i64 rows, i64 K, const T* packed, i64 blocks, i64 first, i64 last, T* const* out,
                               Lines&& lines) {
    constexpr int L = kLanes<T>;
    for (i64 p = first; p < last; ++p) {
        with_constant<kBlocks>(static_cast<int>(least(kBlocks, blocks - kBlocks * p)), [&](auto vectors) {
            constexpr int NV = decltype(vectors)::value;
            for_tiles<NV>(rows, [&](auto tile, i64 row) {
                constexpr int R = decltype(tile)::value;
                Vec<T> acc[R][NV];
                T* to[R];
                for (int r = 0; r < R; ++r) {
                    to[r] = out[row + r] + kBlocks * p * L;
                    for (int j = 0; ADD && j < NV; ++j) acc[r][j] = load(to[r] + j * L);
                }
                product_for_cell<T, R, NV, ADD>(left + row, K, packed + p * K * kBlocks * L, acc, lines(tile, vectors, row, p));
                for (int r = 0; r < R; ++r) {
                    for (int j = 0; j < NV; ++j) store(to[r] + j * L, acc[r][j]);
                }
            });
        });
    }
}

// Blocks [first, last) of `blocks` that a member of a team has: whole panels by blocks.
static inline Blocks panels_of(i64 blocks, int member, int members) {
    const i64 panels = ceil_div(blocks, kBlocks);
    return {panels * member / members, panels * (member + 1) / members};
}
static inline Blocks blocks_in(const Blocks& panels, i64 blocks) {
    return {least(blocks, panels.first * kBlocks), least(blocks, panels.last * kBlocks)};
}

template <class T, int N>
struct Lanes {
    typedef T V __attribute__((vector_size(N * sizeof(T))));
};

// By halves: lane by lane each addition would wait for the one before.
template <class T, int N = kLanes<T>>
static inline T sum_of_lanes(typename Lanes<T, N>::V v) {
    if constexpr (N == 1) {
        return v[0];
    } else {
        typename Lanes<T, N / 2>::V low, high;
        __builtin_memcpy(&low, &v, sizeof low);
        __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
        return sum_of_lanes<T, N / 2>(low + high);
    }
}

// v, with 0 in the lanes behind the n real ones.
template <class T>
static inline Vec<T> real_part(Vec<T> v, int n) {
    return n == kLanes<T> ? v : load_part(reinterpret_cast<const T*>(&v), n);
}

// Slots of a row that are normalised together.
struct Group {
    int first, count;
};

// A GRU normalises its candidate by itself; every other cell has one group.
template <class T>
struct Groups {
    int count;
    Group group[2];

    static Groups of_input(const Layout<T>& lay) {
        if (lay.options.cell == Cell::gru) return {2, {{0, 1}, {1, 2}}};  // n, r z
        return {1, {{0, lay.input_slots}, {0, 0}}};
    }
    static Groups of_hidden(const Layout<T>& lay) {
        if (lay.options.cell == Cell::gru) return {2, {{0, 2}, {2, 1}}};  // r z, n
        return {1, {{0, lay.hidden_slots}, {0, 0}}};
    }
};

// The sum of the slots' sums.
template <class V, int COUNT>
static inline V together(const V (&sums)[COUNT]) {
    V sum = sums[0];
    for (int s = 1; s < COUNT; ++s) sum += sums[s];
    return sum;
}

template <class T>
struct Norm {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    T mean, scale;  // scale: 1 / standard deviation

    // Of a group of COUNT slots of H values; two passes, since a difference of squares would lose the digits. A sum a slot:
    // in one, each addition would wait for the one before.
    template <int COUNT>
    static Norm of(const T* row, i64 H, i64 Hp) {
        V sums[COUNT]{}, squares[COUNT]{};
        for (i64 u = 0; u < Hp; u += L) {  // the padding is zero
#pragma GCC unroll 4
            for (int s = 0; s < COUNT; ++s) sums[s] += load(row + s * Hp + u);
        }
        const T n = static_cast<T>(COUNT * H), mean = sum_of_lanes<T>(together(sums)) / n;
        for (i64 u = 0; u < H; u += L) {
            const int real = static_cast<int>(least(L, H - u));
#pragma GCC unroll 4
            for (int s = 0; s < COUNT; ++s) {
                const V d = real_part<T>(load(row + s * Hp + u) - mean, real);
                squares[s] = Simd<T>::fma(d, d, squares[s]);
            }
        }
        const T variance = sum_of_lanes<T>(together(squares)) / n;
        return {mean, T(1) / static_cast<T>(__builtin_sqrt(static_cast<double>(variance + T(1e-5))))};
    }
};

// Back through a normalisation: d x = scale * (g - mean(g) - x^ * mean(g * x^)), g the gradient of x^; layer-norm.md.
template <class T>
struct NormBack {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    T mean_g, mean_gx;

    // d, gain, normal: COUNT slots each; g = d * gain.
    template <int COUNT>
    static NormBack of(const T* d, const T* gain, const T* normal, i64 H, i64 Hp) {
        V g_sums[COUNT]{}, gx_sums[COUNT]{};
        for (i64 u = 0; u < Hp; u += L) {  // the padding of the gain is zero
#pragma GCC unroll 4
            for (int s = 0; s < COUNT; ++s) {
                const V g = load(d + s * Hp + u) * load(gain + s * Hp + u);
                g_sums[s] += g;
                gx_sums[s] = Simd<T>::fma(g, load(normal + s * Hp + u), gx_sums[s]);
            }
        }
        const T n = static_cast<T>(COUNT * H);
        return {sum_of_lanes<T>(together(g_sums)) / n, sum_of_lanes<T>(together(gx_sums)) / n};
    }
    V through(V d, V gain, V normal, T scale) const {
        return (Simd<T>::fma(d, gain, -Simd<T>::broadcast(mean_g)) - normal * mean_gx) * scale;
    }
};

// Zoneout of one row's state: which units keep their value, or the share that mixes old and new where there is no mask.
template <class T>
struct Zone {
    using V = Vec<T>;
    using I = typename Simd<T>::I;
    const std::uint8_t* mask;  // null: the share
    T share;

    bool off() const { return mask == nullptr && share == T(0); }

    // By the bytes of a vector's lanes: all bits where the unit keeps its value.
    THROUGHTIME_INLINE I keeps(i64 u, int n) const {
        typedef std::uint8_t Bytes __attribute__((vector_size(kLanes<T>)));
        Bytes bytes{};
        __builtin_memcpy(&bytes, mask + u, static_cast<std::size_t>(n));
        return __builtin_convertvector(bytes, I) != I{};
    }
    THROUGHTIME_INLINE V mix(V old, V fresh, i64 u, int n) const {
        if (mask != nullptr) return keeps(u, n) ? old : fresh;
        return share == T(0) ? fresh : Simd<T>::fma(Simd<T>::broadcast(share), old, fresh * (T(1) - share));
    }
    // What of a gradient goes to the old value; the rest goes to the new one.
    THROUGHTIME_INLINE V to_old(V d, i64 u, int n) const {
        if (mask != nullptr) return keeps(u, n) ? d : V{};
        return d * share;
    }
    THROUGHTIME_INLINE V to_fresh(V d, i64 u, int n) const {
        if (mask != nullptr) return keeps(u, n) ? V{} : d;
        return d * (T(1) - share);
    }
};

// Where a token's mask lies; zones without masks need none.
template <class T>
static inline Zone<T> zone_of(const Sequences<const std::uint8_t>& masks, double share, bool masked, i64 t, i64 b) {
    return {masked && share > 0 ? masks.at(t, b) : nullptr, masked ? T(0) : static_cast<T>(share)};
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
