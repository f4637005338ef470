// One row's step of a variant, in passes over its units.
//
// Equations: docs/derivations/{layer-norm,zoneout-and-dropout,peephole-coupled-projection,minimal-cells,indrnn}.md.

namespace throughtime::THROUGHTIME_NAMESPACE {

// A sequence at a step.
template <class T>
struct VariantRow {
    const T* h_prev;  // P
    const T* c_prev;  // LSTM
    const T* x;       // the input's side: sums with biases; layer_norm: normalised sums
    const T* sums;    // of the hidden side, hidden_slots
    T* saved;         // saved_width
    T* c;             // LSTM: out; may be c_prev
    T* y;             // out, P
    Zone<T> zone_h, zone_c;
};

template <class T>
struct VariantCells {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    using S = Simd<T>;

    Layout<T> lay;
    const T* vectors;  // of the packed weights
    const T* bias_hn;  // GRU, of the packed weights

    V vector(int slot, i64 u) const { return load(vectors + slot * lay.Hp + u); }
    T* stats(T* saved) const { return saved + lay.saved_slots * lay.Hp; }

    // layer_norm: the input's side. raw (input_width) may lie anywhere; what is saved is used by the cell.
    THROUGHTIME_INLINE void normalise_input(const T* raw, T* saved) const {
        normalise(Groups<T>::of_input(lay), raw, saved + lay.of_input * lay.Hp, stats(saved));
    }
    THROUGHTIME_INLINE void normalise_hidden(const VariantRow<T>& row) const {
        normalise(Groups<T>::of_hidden(lay), row.sums, row.saved + lay.of_hidden * lay.Hp, stats(row.saved) + 2);
    }

    // New c of an LSTM, before zoneout, or h of the others.
    // ahead(u): what else is done at a block of units.
    template <class Ahead>
    THROUGHTIME_INLINE void gates(const VariantRow<T>& row, Ahead&& ahead) const {
        for (i64 p = 0; p < lay.blocks; ++p) {
            const i64 u = p * L;
            ahead(u);
            const int n = static_cast<int>(least(L, lay.H - u));
            switch (lay.options.cell) {
                case Cell::lstm: lstm(row, u, n); break;
                case Cell::gru: put(row, u, n, gru(row, u, n)); break;
                case Cell::rnn: put(row, u, n, rnn(row, u, input(row, 0, u) + hidden(row, 0, u))); break;
                case Cell::ind_rnn: put(row, u, n, ind_rnn(row, u, n)); break;
                case Cell::min_gru: put(row, u, n, min_gru(row, u, n)); break;
                case Cell::min_lstm: put(row, u, n, min_lstm(row, u, n)); break;
            }
        }
    }

    // LSTM: o * tanh(c), into h, or where the projection reads it; then c is zoned out, which h does not see.
    THROUGHTIME_INLINE void output(const VariantRow<T>& row) const {
        const bool layer_norm = lay.options.layer_norm;
        const T* const fresh = fresh_c(row);
        Norm<T> norm{};
        if (layer_norm) {
            norm = Norm<T>::template of<1>(fresh, lay.H, lay.Hp);
            stats(row.saved)[4] = norm.scale;
        }
        for (i64 p = 0; p < lay.blocks; ++p) {
            const i64 u = p * L;
            const int n = static_cast<int>(least(L, lay.H - u));
            V c = load(fresh + u);
            if (!row.zone_c.off()) store(row.c + u, row.zone_c.mix(load_part(row.c_prev + u, n), c, u, n));
            if (layer_norm) {
                const V normal = real_part<T>((c - norm.mean) * norm.scale, n);
                store(row.saved + lay.of_cell * lay.Hp + u, normal);
                c = S::fma(vector(lay.norm_c_slot(), u), normal, vector(lay.bias_c_slot(), u));
            }
            const V m = load(row.saved + 3 * lay.Hp + u) * hyperbolic_tangent<T>(c);
            if (lay.options.proj_size > 0) store(row.saved + lay.of_output * lay.Hp + u, m);
            else put(row, u, n, m);
        }
    }

    // Projection: h from its sums.
    THROUGHTIME_INLINE void projected(const VariantRow<T>& row, const T* sums) const {
        for (i64 p = 0; p < lay.Pp / L; ++p) {
            put(row, p * L, static_cast<int>(least(L, lay.P - p * L)), load(sums + p * L));
        }
    }

private:
    THROUGHTIME_INLINE void normalise(const Groups<T>& groups, const T* sums, T* normal, T* scales) const {
        for (int g = 0; g < groups.count; ++g) {
            with_constant<4>(groups.group[g].count, [&](auto count) {
                constexpr int COUNT = decltype(count)::value;
                const i64 Hp = lay.Hp, H = lay.H, first = groups.group[g].first * Hp;
                const Norm<T> norm = Norm<T>::template of<COUNT>(sums + first, H, Hp);
                scales[g] = norm.scale;
                for (i64 u = 0; u < Hp; u += L) {
                    const int real = static_cast<int>(least(L, H - u));
#pragma GCC unroll 4
                    for (int s = 0; s < COUNT; ++s) {
                        const V v = (load(sums + first + s * Hp + u) - norm.mean) * norm.scale;
                        store(normal + first + s * Hp + u, real_part<T>(v, real));
                    }
                }
            });
        }
    }

    THROUGHTIME_INLINE V input(const VariantRow<T>& row, int slot, i64 u) const {
        const V x = load(row.x + slot * lay.Hp + u);
        if (!lay.options.layer_norm) return x;
        return S::fma(vector(lay.norm_ih_slot() + slot, u), x, vector(lay.bias_slot() + slot, u));
    }
    THROUGHTIME_INLINE V hidden(const VariantRow<T>& row, int slot, i64 u) const {
        if (!lay.options.layer_norm) return load(row.sums + slot * lay.Hp + u);
        return vector(lay.norm_hh_slot() + slot, u) * load(row.saved + (lay.of_hidden + slot) * lay.Hp + u);
    }
    // An LSTM's c before zoneout.
    THROUGHTIME_INLINE T* fresh_c(const VariantRow<T>& row) const { return row.zone_c.off() ? row.c : row.saved + 4 * lay.Hp; }
    THROUGHTIME_INLINE void keep(const VariantRow<T>& row, int slot, i64 u, V v) const { store(row.saved + slot * lay.Hp + u, v); }
    THROUGHTIME_INLINE void put(const VariantRow<T>& row, i64 u, int n, V h) const {
        if (!row.zone_h.off()) h = row.zone_h.mix(load_part(row.h_prev + u, n), h, u, n);
        store_part(row.y + u, h, n);
    }

    THROUGHTIME_INLINE void lstm(const VariantRow<T>& row, i64 u, int n) const {
        const bool coupled = lay.options.coupled_gates, peephole = lay.options.peephole;
        const int s = coupled ? 0 : 1, pi = lay.peephole_slot();
        const V c_prev = load_part(row.c_prev + u, n);
        V a_f = input(row, s, u) + hidden(row, s, u);
        if (peephole) a_f = S::fma(vector(pi + 1, u), c_prev, a_f);
        const V f = sigmoid<T>(a_f), g = hyperbolic_tangent<T>(input(row, s + 1, u) + hidden(row, s + 1, u));
        V i = T(1) - f;
        if (!coupled) {
            V a_i = input(row, 0, u) + hidden(row, 0, u);
            if (peephole) a_i = S::fma(vector(pi, u), c_prev, a_i);
            i = sigmoid<T>(a_i);
        }
        const V fresh = S::fma(f, c_prev, i * g);
        V a_o = input(row, s + 2, u) + hidden(row, s + 2, u);
        if (peephole) a_o = S::fma(vector(pi + 2, u), fresh, a_o);
        keep(row, 0, u, i);
        keep(row, 1, u, f);
        keep(row, 2, u, g);
        keep(row, 3, u, sigmoid<T>(a_o));
        store(fresh_c(row) + u, fresh);
    }

    THROUGHTIME_INLINE V gru(const VariantRow<T>& row, i64 u, int n) const {
        const V r = sigmoid<T>(input(row, 1, u) + hidden(row, 0, u)), z = sigmoid<T>(input(row, 2, u) + hidden(row, 1, u));
        const V q = hidden(row, 2, u) + load(bias_hn + u);
        const V candidate = hyperbolic_tangent<T>(S::fma(r, q, input(row, 0, u)));
        keep(row, 0, u, candidate);
        keep(row, 1, u, r);
        keep(row, 2, u, z);
        keep(row, 3, u, q);
        return S::fma(z, load_part(row.h_prev + u, n) - candidate, candidate);
    }

    THROUGHTIME_INLINE V rnn(const VariantRow<T>& row, i64 u, V a) const {
        switch (lay.options.nonlinearity) {
            case Nonlinearity::tanh: a = apply<T, Nonlinearity::tanh>(a); break;
            case Nonlinearity::relu: a = apply<T, Nonlinearity::relu>(a); break;
            case Nonlinearity::sigmoid: a = apply<T, Nonlinearity::sigmoid>(a); break;
            case Nonlinearity::identity: break;
        }
        keep(row, 0, u, a);
        return a;
    }

    THROUGHTIME_INLINE V ind_rnn(const VariantRow<T>& row, i64 u, int n) const {
        return rnn(row, u, S::fma(vector(lay.diagonal_slot(), u), load_part(row.h_prev + u, n), input(row, 0, u)));
    }

    THROUGHTIME_INLINE V min_gru(const VariantRow<T>& row, i64 u, int n) const {
        const V z = sigmoid<T>(input(row, 0, u)), candidate = input(row, 1, u);
        keep(row, 0, u, z);
        keep(row, 1, u, candidate);
        const V h_prev = load_part(row.h_prev + u, n);
        return S::fma(z, candidate - h_prev, h_prev);
    }

    // Where both gates' sums lie below -40, f and i only matter by their quotient, and 1 - f, 1 - i are 1: both sums are
    // raised by the same, so that neither quotient nor gradient depends on sigmoids too small for T. minimal-cells.md (8).
    THROUGHTIME_INLINE V min_lstm(const VariantRow<T>& row, i64 u, int n) const {
        const V a_f = input(row, 0, u), a_i = input(row, 1, u), candidate = input(row, 2, u);
        const V raise = S::at_least(T(-40) - (a_f > a_i ? a_f : a_i), T(0));
        const V f = sigmoid<T>(a_f + raise), i = sigmoid<T>(a_i + raise);
        keep(row, 0, u, f);
        keep(row, 1, u, i);
        keep(row, 2, u, candidate);
        return S::fma(f, load_part(row.h_prev + u, n), i * candidate) / (f + i);
    }
};

}  // namespace throughtime::THROUGHTIME_NAMESPACE
