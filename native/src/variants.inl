// What the variants' passes share: products whose sums go to memory, layer normalisation, zoneout, a variant's vectors.
//
// A plain layer's sums become its new state in registers. A variant needs a unit's whole row of sums (layer normalisation),
// or more values than there are registers: its step is a product into rows of memory, then passes over those rows, which the
// nearest cache still holds. Equations: docs/derivations.

namespace throughtime::THROUGHTIME_NAMESPACE {

// out[row] (slots, each `stride` apart) = left[row] (K) * a matrix in panels by gates; blocks [first, last) of each slot.
template <class T, int SLOTS>
static void multiply_by_gates(const T* const* left, i64 rows, i64 K, const T* packed, i64 stride, i64 first, i64 last, T* const* out) {
    constexpr int L = kLanes<T>;
    for (i64 p = first; p < last; ++p) {
        for_tiles<SLOTS>(rows, [&](auto tile, i64 row) {
            constexpr int R = decltype(tile)::value;
            Vec<T> acc[R][SLOTS]{};
            T* to[R];
            for (int r = 0; r < R; ++r) to[r] = out[row + r] + p * L;
            product<T, R, SLOTS>(left + row, K, packed + p * K * SLOTS * L, acc);
            for (int r = 0; r < R; ++r) {
                for (int j = 0; j < SLOTS; ++j) store(to[r] + j * stride, acc[r][j]);
            }
        });
    }
}

// The same with a matrix in panels by blocks, of which there are `blocks`; panels [first, last). With ADD to what is there.
template <class T, bool ADD = false>
static void multiply_by_blocks(const T* const* left, i64 rows, i64 K, const T* packed, i64 blocks, i64 first, i64 last, T* const* out) {
    constexpr int L = kLanes<T>;
    for (i64 p = first; p < last; ++p) {
        with_constant<kBlocks>(static_cast<int>(least(kBlocks, blocks - kBlocks * p)), [&](auto vectors) {
            constexpr int NV = decltype(vectors)::value;
            for_tiles<NV>(rows, [&](auto tile, i64 row) {
                constexpr int R = decltype(tile)::value;
                Vec<T> acc[R][NV]{};
                T* to[R];
                for (int r = 0; r < R; ++r) {
                    to[r] = out[row + r] + kBlocks * p * L;
                    for (int j = 0; ADD && j < NV; ++j) acc[r][j] = load(to[r] + j * L);
                }
                product<T, R, NV>(left + row, K, packed + p * K * kBlocks * L, acc);
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

template <class T>
static inline T sum_of_lanes(Vec<T> v) {
    T sum = T(0);
    for (int lane = 0; lane < kLanes<T>; ++lane) sum += v[lane];
    return sum;
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

template <class T>
struct Norm {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    T mean, scale;  // scale: 1 / standard deviation

    // Of a group of `count` slots of H values; two passes, since a difference of squares would lose the digits.
    static Norm of(const T* row, int count, i64 H, i64 Hp) {
        V sum{};
        for (i64 i = 0; i < count * Hp; i += L) sum += load(row + i);  // the padding is zero
        const T n = static_cast<T>(count * H), mean = sum_of_lanes<T>(sum) / n;
        V squares{};
        for (int slot = 0; slot < count; ++slot) {
            for (i64 u = 0; u < H; u += L) {
                const V d = real_part<T>(load(row + slot * Hp + u) - mean, static_cast<int>(least(L, H - u)));
                squares = Simd<T>::fma(d, d, squares);
            }
        }
        const T variance = sum_of_lanes<T>(squares) / n;
        return {mean, T(1) / static_cast<T>(__builtin_sqrt(static_cast<double>(variance + T(1e-5))))};
    }
};

// Back through a normalisation: d x = scale * (g - mean(g) - x^ * mean(g * x^)), g the gradient of x^; layer-norm.md.
template <class T>
struct NormBack {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    T mean_g, mean_gx;

    // d, gain, normal: `count` slots each; g = d * gain.
    static NormBack of(const T* d, const T* gain, const T* normal, int count, i64 H, i64 Hp) {
        V g_sum{}, gx_sum{};
        for (i64 i = 0; i < count * Hp; i += L) {
            const V g = load(d + i) * load(gain + i);  // the padding of the gain is zero
            g_sum += g;
            gx_sum = Simd<T>::fma(g, load(normal + i), gx_sum);
        }
        const T n = static_cast<T>(count * H);
        return {sum_of_lanes<T>(g_sum) / n, sum_of_lanes<T>(gx_sum) / n};
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
