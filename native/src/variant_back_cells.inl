// One row's step back of a variant, in passes over its units.
//
// What a parameter that is a vector gets from a step is added to sums of that row's sequence, so that the order of additions
// does not depend on the threads. Equations: as in variant_cells.inl.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Vectors that are summed over steps, in `sums` of a sequence: of layer_norm the gradients of biases by slot of the input's side
// (else they are sums of d_gates' columns), then of the others in the order of the packed vectors, without biases.
template <class T>
struct SumSlots {
    int biases, norm_ih, norm_hh, norm_c, bias_c, peephole, diagonal, count;

    explicit SumSlots(const Layout<T>& lay) {
        const bool norm = lay.options.layer_norm;
        biases = 0;
        norm_ih = !norm ? 0 : lay.options.cell == Cell::gru ? 4 : lay.input_slots;
        norm_hh = norm_ih + (norm ? lay.input_slots : 0);
        norm_c = norm_hh + (norm ? lay.hidden_slots : 0);
        bias_c = norm_c + (norm && lay.has_c() ? 1 : 0);
        peephole = bias_c + (norm && lay.has_c() ? 1 : 0);
        diagonal = peephole + (lay.options.peephole ? 3 : 0);
        count = diagonal + (lay.options.cell == Cell::ind_rnn ? 1 : 0);
    }
};

// A sequence at a step.
template <class T>
struct VariantBackRow {
    const T* d_y;        // P
    T* d_h;              // d h_t, P: see `before_product`
    const T* recurrent;  // P, or null
    const T* h_prev;     // P
    const T* c_prev;     // LSTM
    const T* saved;
    const T* c;          // LSTM
    T* direct;           // in and out, P: the part of d h_{t-1} that does not go through weight_hh
    T* d_c;              // in and out
    T* d_m;              // of h before zoneout, P; with projection then of o * tanh(c)
    T* d_cell;           // layer_norm: of the normalised c times its gain and with its bias
    T* delta;            // gradients of the sums of gates, by slot of the input's side (GRU also d q)
    T* d_gates;          // out
    T* sums;             // see SumSlots
    Zone<T> zone_h, zone_c;
};

template <class T>
struct VariantBackCells {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    using S = Simd<T>;

    Layout<T> lay;
    const T* vectors;  // of the packed weights
    SumSlots<T> slots;

    // What the product with weight_hh adds to: d h_t without what comes through it; 0 where a mask must first scale the product.
    // d_y null: none.
    THROUGHTIME_INLINE void before_product(const VariantBackRow<T>& row, const Blocks& blocks) const {
        for (i64 u = blocks.first * L; u < blocks.last * L; u += L) {
            store(row.d_h + u, row.recurrent != nullptr ? V{} : apart_from_product(row, u));
        }
    }
    // d h_t, after the product.
    THROUGHTIME_INLINE V hidden(const VariantBackRow<T>& row, i64 u) const {
        const V d = load(row.d_h + u);
        if (row.recurrent == nullptr) return d;
        const V mask = load_part(row.recurrent + u, static_cast<int>(least(L, lay.P - u)));
        return S::fma(d, mask, apart_from_product(row, u));
    }
    // d h_t, parted between h_{t-1} and the new value.
    THROUGHTIME_INLINE void part(const VariantBackRow<T>& row, i64 blocks, T* to) const {
        for (i64 u = 0; u < blocks * L; u += L) {
            const int n = static_cast<int>(least(L, lay.P - u));
            const V d = hidden(row, u);
            store(row.direct + u, row.zone_h.off() ? V{} : row.zone_h.to_old(d, u, n));
            store(to + u, row.zone_h.off() ? d : row.zone_h.to_fresh(d, u, n));
        }
    }

    // To the gates' sums; of an LSTM only to o's and to the normalised c. ahead(u): what else is done at a block of units.
    template <class Ahead>
    THROUGHTIME_INLINE void gates(const VariantBackRow<T>& row, Ahead&& ahead) const {
        for (i64 u = 0; u < lay.Hp; u += L) {
            ahead(u);
            const int n = static_cast<int>(least(L, lay.H - u));
            const V d = load(row.d_m + u);
            switch (lay.options.cell) {
                case Cell::lstm: output(row, u, n, d); break;
                case Cell::gru: gru(row, u, n, d); break;
                case Cell::rnn: put(row, 0, u, d * slope_of(row, u)); break;
                case Cell::ind_rnn: ind_rnn(row, u, n, d); break;
                case Cell::min_gru: min_gru(row, u, n, d); break;
                case Cell::min_lstm: min_lstm(row, u, n, d); break;
            }
        }
    }

    // LSTM: through c.
    THROUGHTIME_INLINE void cell(const VariantBackRow<T>& row) const {
        const bool layer_norm = lay.options.layer_norm;
        NormBack<T> back{};
        const T* const normal = row.saved + lay.of_cell * lay.Hp;
        if (layer_norm) back = NormBack<T>::template of<1>(row.d_cell, vectors + lay.norm_c_slot() * lay.Hp, normal, lay.H, lay.Hp);
        for (i64 u = 0; u < lay.Hp; u += L) {
            const int n = static_cast<int>(least(L, lay.H - u));
            V d_c = load(row.d_cell + u);
            if (layer_norm) {
                const V gain = vector(lay.norm_c_slot(), u);
                d_c = real_part<T>(back.through(d_c, gain, load(normal + u), stats(row)[4]), n);
            }
            lstm(row, u, n, d_c, load(row.d_c + u));
        }
    }

    // layer_norm: from the gradients of normalised sums to those of the sums, both sides.
    THROUGHTIME_INLINE void norms(const VariantBackRow<T>& row) const {
        const Groups<T> x = Groups<T>::of_input(lay), h = Groups<T>::of_hidden(lay);
        for (int g = 0; g < x.count; ++g) {
            const int first = x.group[g].first;
            norm(row, first, x.group[g].count, lay.norm_ih_slot() + first, lay.of_input + first, stats(row)[g], first,
                 slots.norm_ih + first);
        }
        for (int g = 0; g < h.count; ++g) {
            const int first = h.group[g].first;
            norm(row, lay.hidden_gate + first, h.group[g].count, lay.norm_hh_slot() + first, lay.of_hidden + first,
                 stats(row)[2 + g], lay.raw_slot + first, slots.norm_hh + first);
        }
    }

private:
    THROUGHTIME_INLINE V vector(int slot, i64 u) const { return load(vectors + slot * lay.Hp + u); }
    THROUGHTIME_INLINE V saved(const VariantBackRow<T>& row, int slot, i64 u) const { return load(row.saved + slot * lay.Hp + u); }
    const T* stats(const VariantBackRow<T>& row) const { return row.saved + lay.saved_slots * lay.Hp; }
    THROUGHTIME_INLINE void add(const VariantBackRow<T>& row, int slot, i64 u, V v) const {
        T* const at = row.sums + slot * lay.Hp + u;
        store(at, load(at) + v);
    }
    THROUGHTIME_INLINE void put(const VariantBackRow<T>& row, int slot, i64 u, V delta) const {
        store(row.delta + slot * lay.Hp + u, delta);
        if (lay.options.layer_norm) add(row, slots.biases + slot, u, delta);
    }
    // Without zoneout `direct` is not read: `part` has left 0 there.
    THROUGHTIME_INLINE void add_direct(const VariantBackRow<T>& row, i64 u, V v) const {
        store(row.direct + u, row.zone_h.off() ? v : load(row.direct + u) + v);
    }
    THROUGHTIME_INLINE V apart_from_product(const VariantBackRow<T>& row, i64 u) const {
        const V direct = load(row.direct + u);
        return row.d_y == nullptr ? direct : direct + load_part(row.d_y + u, static_cast<int>(least(L, lay.P - u)));
    }

    // `first` .. of delta into the raw slots `to` of d_gates.
    THROUGHTIME_INLINE void norm(const VariantBackRow<T>& row, int first, int count, int gain, int normal,
                                 T scale, int to, int sum) const {
        with_constant<4>(count, [&](auto number) {
            constexpr int COUNT = decltype(number)::value;
            const i64 Hp = lay.Hp, H = lay.H;
            const T* const delta = row.delta + first * Hp;
            const T* const gains = vectors + gain * Hp;
            const T* const x = row.saved + normal * Hp;
            T* const out = row.d_gates + to * Hp;
            T* const sums = row.sums + sum * Hp;
            const NormBack<T> back = NormBack<T>::template of<COUNT>(delta, gains, x, H, Hp);
            for (i64 u = 0; u < Hp; u += L) {
                const int real = static_cast<int>(least(L, H - u));
#pragma GCC unroll 4
                for (i64 at = u; at < u + COUNT * Hp; at += Hp) {
                    const V d = load(delta + at), normalised = load(x + at);
                    store(out + at, real_part<T>(back.through(d, load(gains + at), normalised, scale), real));
                    store(sums + at, S::fma(d, normalised, load(sums + at)));
                }
            }
        });
    }

    THROUGHTIME_INLINE void output(const VariantBackRow<T>& row, i64 u, int n, V d_m) const {
        V c;
        if (!lay.options.layer_norm) {
            c = row.zone_c.off() ? load(row.c + u) : fresh_c(row, u, n);
        } else {
            c = S::fma(vector(lay.norm_c_slot(), u), saved(row, lay.of_cell, u), vector(lay.bias_c_slot(), u));
        }
        const V tanh_c = hyperbolic_tangent<T>(c), o = saved(row, 3, u);
        const V d_cell = d_m * o * (T(1) - tanh_c * tanh_c);
        put(row, lay.input_slots - 1, u, d_m * tanh_c * (o * (T(1) - o)));
        store(row.d_cell + u, d_cell);
        if (lay.options.layer_norm) {
            add(row, slots.norm_c, u, d_cell * saved(row, lay.of_cell, u));
            add(row, slots.bias_c, u, d_cell);
        }
    }

    // c before zoneout.
    THROUGHTIME_INLINE V fresh_c(const VariantBackRow<T>& row, i64 u, int n) const {
        return S::fma(saved(row, 1, u), load_part(row.c_prev + u, n), saved(row, 0, u) * saved(row, 2, u));
    }

    // through_h: of c before zoneout, by this step's h. d_c: of c, by later steps.
    THROUGHTIME_INLINE void lstm(const VariantBackRow<T>& row, i64 u, int n, V through_h, V d_c) const {
        const bool peephole = lay.options.peephole;
        const int s = lay.options.coupled_gates ? 0 : 1, pi = lay.peephole_slot();
        const V i = saved(row, 0, u), f = saved(row, 1, u), g = saved(row, 2, u), c_prev = load_part(row.c_prev + u, n);
        V d_fresh = through_h + (row.zone_c.off() ? d_c : row.zone_c.to_fresh(d_c, u, n));
        V d_prev = row.zone_c.off() ? V{} : row.zone_c.to_old(d_c, u, n);
        if (peephole) {
            const V delta_o = load(row.delta + (s + 2) * lay.Hp + u);
            d_fresh = S::fma(vector(pi + 2, u), delta_o, d_fresh);
            add(row, slots.peephole + 2, u, delta_o * fresh_c(row, u, n));
        }
        const V to_f = lay.options.coupled_gates ? c_prev - g : c_prev;
        const V delta_f = d_fresh * to_f * (f * (T(1) - f));
        put(row, s, u, delta_f);
        put(row, s + 1, u, d_fresh * i * (T(1) - g * g));
        d_prev = row.zone_c.off() ? d_fresh * f : S::fma(d_fresh, f, d_prev);
        if (peephole) {
            d_prev = S::fma(vector(pi + 1, u), delta_f, d_prev);
            add(row, slots.peephole + 1, u, delta_f * c_prev);
        }
        if (!lay.options.coupled_gates) {
            const V delta_i = d_fresh * g * (i * (T(1) - i));
            put(row, 0, u, delta_i);
            if (peephole) {
                d_prev = S::fma(vector(pi, u), delta_i, d_prev);
                add(row, slots.peephole, u, delta_i * c_prev);
            }
        }
        store(row.d_c + u, d_prev);
    }

    THROUGHTIME_INLINE void gru(const VariantBackRow<T>& row, i64 u, int n, V d) const {
        const V candidate = saved(row, 0, u), r = saved(row, 1, u), z = saved(row, 2, u), q = saved(row, 3, u);
        const V d_n = d * (T(1) - z) * (T(1) - candidate * candidate);
        put(row, 0, u, d_n);
        put(row, 1, u, d_n * q * (r * (T(1) - r)));
        put(row, 2, u, d * (load_part(row.h_prev + u, n) - candidate) * (z * (T(1) - z)));
        put(row, 3, u, d_n * r);
        add_direct(row, u, d * z);
    }

    THROUGHTIME_INLINE V slope_of(const VariantBackRow<T>& row, i64 u) const {
        const V h = saved(row, 0, u);
        switch (lay.options.nonlinearity) {
            case Nonlinearity::tanh: return slope<T, Nonlinearity::tanh>(h);
            case Nonlinearity::relu: return slope<T, Nonlinearity::relu>(h);
            case Nonlinearity::sigmoid: return slope<T, Nonlinearity::sigmoid>(h);
            case Nonlinearity::identity: break;
        }
        return S::broadcast(T(1));
    }

    THROUGHTIME_INLINE void ind_rnn(const VariantBackRow<T>& row, i64 u, int n, V d) const {
        const V delta = d * slope_of(row, u);
        put(row, 0, u, delta);
        add(row, slots.diagonal, u, delta * load_part(row.h_prev + u, n));
        add_direct(row, u, delta * vector(lay.diagonal_slot(), u));
    }

    THROUGHTIME_INLINE void min_gru(const VariantBackRow<T>& row, i64 u, int n, V d) const {
        const V z = saved(row, 0, u), candidate = saved(row, 1, u);
        put(row, 0, u, d * (candidate - load_part(row.h_prev + u, n)) * (z * (T(1) - z)));
        put(row, 1, u, d * z);
        add_direct(row, u, d * (T(1) - z));
    }

    // h = (f h_{t-1} + i n) / (f + i): d h / d f = i (h_{t-1} - n) / (f + i)².
    THROUGHTIME_INLINE void min_lstm(const VariantBackRow<T>& row, i64 u, int n, V d) const {
        const V f = saved(row, 0, u), i = saved(row, 1, u), candidate = saved(row, 2, u);
        const V share_f = f / (f + i), share_i = i / (f + i);
        const V across = d * (load_part(row.h_prev + u, n) - candidate) * share_f * share_i;
        put(row, 0, u, across * (T(1) - f));
        put(row, 1, u, -across * (T(1) - i));
        put(row, 2, u, d * share_i);
        add_direct(row, u, d * share_f);
    }
};

}  // namespace throughtime::THROUGHTIME_NAMESPACE
