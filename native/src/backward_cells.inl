// One step back of a tile of sequences: d h_t from the later step's gates, and through the cell while it is in registers.
//
// Equations: docs/derivations/{rnn,gru,lstm}.md. `direct` is the part of d h_{t-1} that does not go through weight_hh.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Pointers of one thread's sequences at one step, by their place among the thread's.
template <class T>
struct BackRows {
    const T** d_y;      // H
    const T** h;        // h_t, H
    const T** h_prev;   // h_{t-1}, H
    const T** masks;    // H, of h_{t-1} where weight_hh met it; only with a recurrent mask
    const T** c_prev;   // LSTM: H real units
    const T** saved;    // saved_width
    const T** d_later;  // d_gates of the later step, from the hidden side's first slot; zeros at the last
    T** d_gates;        // out, gates_width
    T** direct;         // in and out, Hp
    T** d_c;            // LSTM: in and out, Hp
};

// The lines of R rows that a cell needs behind their product, of NB blocks from unit u. PIECES of a row: d_y and c, h or
// h_prev; slots of saved and of d_gates.
template <class T, int PIECES, int R, int NB>
static inline Coming<T, PIECES * R, NB> coming_back(const Layout<T>& lay, const BackRows<T>& at, i64 first, i64 u) {
    Coming<T, PIECES * R, NB> lines;
    for (i64 row = first; row < first + R; ++row) {
        lines.read(at.d_y[row] + u);
        for (int slot = 0; slot < lay.saved_slots; ++slot) lines.read(at.saved[row] + slot * lay.Hp + u);
        switch (lay.options.cell) {
            case Cell::lstm: lines.read(at.c_prev[row] + u); break;
            case Cell::gru: lines.read(at.h_prev[row] + u); break;
            default: lines.read(at.h[row] + u);
        }
    }
    for (i64 row = first; row < first + R; ++row) {
        for (int slot = 0; slot < lay.gates_slots; ++slot) lines.write(at.d_gates[row] + slot * lay.Hp + u);
    }
    return lines;
}

template <class T>
struct BackwardCells {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    using S = Simd<T>;

    Layout<T> lay;
    const T* packed;

    int real_lanes(i64 u) const { return static_cast<int>(least(L, lay.H - u)); }

    // d h of NB blocks of units from panel p: direct + later gates * W_hh (masked), without what comes from above.
    template <int R, int NB, class Lines>
    void d_hidden(const BackRows<T>& at, i64 first, i64 p, const Lines& lines, V (&acc)[R][NB]) const {
        const i64 u = p * kBlocks * L;
        const i64 K = (lay.reset_before() ? 2 : lay.hidden_slots) * lay.Hp;
        const bool masked = lay.options.recurrent_mask;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (int j = 0; j < NB; ++j) acc[r][j] = masked ? V{} : load(at.direct[first + r] + u + j * L);
        }
        product_for_cell<T, R, NB, true>(at.d_later + first, K, packed + p * K * kBlocks * L, acc, lines);
        for (int r = 0; masked && r < R; ++r) {
            for (int j = 0; j < NB; ++j) {
                const i64 to = u + j * L;
                acc[r][j] = S::fma(acc[r][j], load_part(at.masks[first + r] + to, real_lanes(to)), load(at.direct[first + r] + to));
            }
        }
    }

    template <int R, int NB>
    void step(const BackRows<T>& at, i64 first, i64 p) const {
        V d_h[R][NB];
        constexpr int pieces = 2 + 5 + 4;  // an LSTM's
        d_hidden<R, NB>(at, first, p, coming_back<T, pieces, R, NB>(lay, at, first, p * kBlocks * L), d_h);
        for (int r = 0; r < R; ++r) {
            for (int j = 0; j < NB; ++j) {
                const i64 u = (p * kBlocks + j) * L;
                d_h[r][j] += load_part(at.d_y[first + r] + u, real_lanes(u));
                switch (lay.options.cell) {
                    case Cell::rnn: rnn(at, first + r, u, d_h[r][j]); break;
                    case Cell::lstm: lstm(at, first + r, u, d_h[r][j]); break;
                    case Cell::gru: gru(at, first + r, u, d_h[r][j]); break;
                    default: break;  // variants: variant_back_cells.inl
                }
            }
        }
        if ((p * kBlocks + NB) * L > lay.H) clear_last(at, first, first + R);
    }

    // GRU, reset before: d (r * h) from d n of all units, then d r; the rest of `direct`.
    template <int R, int NB>
    void through_reset(const BackRows<T>& at, i64 first, i64 p) const {
        V acc[R][NB];
        const i64 Hp = lay.Hp;
        product_for_cell<T, R, NB, false>(const_cast<const T* const*>(at.d_gates) + first, Hp,
                                         packed + lay.back_candidate_at() + p * Hp * kBlocks * L, acc);
        for (int r = 0; r < R; ++r) {
            for (int j = 0; j < NB; ++j) {
                const i64 u = (p * kBlocks + j) * L, row = first + r;
                const V reset = load(at.saved[row] + Hp + u);
                const V h_prev = load_part(at.h_prev[row] + u, real_lanes(u));
                store(at.d_gates[row] + Hp + u, acc[r][j] * h_prev * reset * (T(1) - reset));
                store(at.direct[row] + u, S::fma(acc[r][j], reset, load(at.direct[row] + u)));
            }
        }
        if ((p * kBlocks + NB) * L > lay.H) clear_last(at, first, first + R);
    }

private:
    // Of few sizes, and rarely called: kept out of the loops.
    __attribute__((noinline)) void clear_last(const BackRows<T>& at, i64 first, i64 last) const {
        for (i64 row = first; row < last; ++row) clear_padding(lay, at.d_gates[row]);
    }

    void rnn(const BackRows<T>& at, i64 row, i64 u, V d_h) const {
        const V h = load_part(at.h[row] + u, real_lanes(u));
        V d = d_h;
        switch (lay.options.nonlinearity) {
            case Nonlinearity::tanh: d *= slope<T, Nonlinearity::tanh>(h); break;
            case Nonlinearity::relu: d *= slope<T, Nonlinearity::relu>(h); break;
            case Nonlinearity::sigmoid: d *= slope<T, Nonlinearity::sigmoid>(h); break;
            case Nonlinearity::identity: break;
        }
        store(at.d_gates[row] + u, d);
        store(at.direct[row] + u, V{});
    }

    void lstm(const BackRows<T>& at, i64 row, i64 u, V d_h) const {
        const i64 Hp = lay.Hp;
        const T* saved = at.saved[row] + u;
        const V i = load(saved), f = load(saved + Hp), g = load(saved + 2 * Hp), o = load(saved + 3 * Hp);
        const V tanh_c = hyperbolic_tangent<T>(load(saved + 4 * Hp));
        const V d_c = d_h * o * (T(1) - tanh_c * tanh_c) + load(at.d_c[row] + u);  // as variant_back_cells.inl adds
        T* out = at.d_gates[row] + u;
        store(out, d_c * g * (i * (T(1) - i)));
        store(out + Hp, d_c * load_part(at.c_prev[row] + u, real_lanes(u)) * (f * (T(1) - f)));
        store(out + 2 * Hp, d_c * i * (T(1) - g * g));
        store(out + 3 * Hp, d_h * tanh_c * (o * (T(1) - o)));
        store(at.d_c[row] + u, d_c * f);
        store(at.direct[row] + u, V{});
    }

    void gru(const BackRows<T>& at, i64 row, i64 u, V d_h) const {
        const i64 Hp = lay.Hp;
        const T* saved = at.saved[row] + u;
        const V n = load(saved), r = load(saved + Hp), z = load(saved + 2 * Hp);
        const V h_prev = load_part(at.h_prev[row] + u, real_lanes(u));
        const V d_n = d_h * (T(1) - z) * (T(1) - n * n);
        T* out = at.d_gates[row] + u;
        store(out, d_n);
        store(out + 2 * Hp, d_h * (h_prev - n) * (z * (T(1) - z)));
        store(at.direct[row] + u, d_h * z);
        if (lay.reset_before()) return;  // d r needs d n of all units: through_reset
        store(out + Hp, d_n * load(saved + 3 * Hp) * (r * (T(1) - r)));
        store(out + 3 * Hp, d_n * r);
    }
};

}  // namespace throughtime::THROUGHTIME_NAMESPACE
