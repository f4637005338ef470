// Where things lie inside of the core: slots of gates, panels of packed weights, columns of saved values.
//
// A *slot* is one gate's Hp columns in a token's row. The input's side comes first: RNN h; GRU n r z; LSTM i f g o. A
// *panel* is the weights that one tile of outputs needs, (K, NV * lanes), so that the inner loop reads memory in one stream.
// Panels by gates hold, for one block of `lanes` units, a vector for each gate, so that a tile gives all that the cells of these
// units need. Panels by blocks hold up to four blocks of units of one gate.
//
// A *variant* is a layer with any option from layer_norm on but the recurrent mask, or one of the cells without a recurrent
// matrix. Its sums of all units meet in memory first (see variants.inl); behind the plain layer's packed weights lie its vectors,
// `Hp` each, and weight_hr.

namespace throughtime::THROUGHTIME_NAMESPACE {

constexpr int kBlocks = 4;  // blocks of units in a panel by blocks

template <class T>
struct Layout {
    static constexpr int L = kLanes<T>;

    Options options;
    i64 I, H, Hp;
    i64 P, Pp;               // features of h
    i64 blocks = 0;        // of units: Hp / lanes
    int input_slots = 0;   // gates on the input's side
    int hidden_slots = 0;  // gates on the hidden side
    int first_hidden = 0;  // slot of d_gates where the hidden side's start
    int hidden_gate = 0;   // the same slot as `gate` counts
    int gates_slots = 0;   // of a token's d_gates
    int saved_slots = 0;
    // Of variants only.
    int raw_slot = 0;         // of d_gates, layer_norm: gradients of the hidden side's sums before they are normalised
    int of_input = 0, of_hidden = 0, of_cell = 0, of_output = 0;  // slots of saved, see `lay_out_variant`

    explicit Layout(const Options& o)
        : options(o), I(o.input_size), H(o.hidden_size), Hp(padded<T>(o.hidden_size)), P(o.proj_size ? o.proj_size : H),
          Pp(padded<T>(P)) {
        blocks = Hp / L;
        switch (o.cell) {
            case Cell::rnn:  // h itself is saved as the output
                input_slots = hidden_slots = gates_slots = 1;
                first_hidden = saved_slots = 0;
                break;
            case Cell::lstm:  // saved: i f g o c
                input_slots = hidden_slots = gates_slots = 4;
                first_hidden = 0;
                saved_slots = 5;
                if (o.coupled_gates) input_slots = hidden_slots = gates_slots = 3;
                break;
            case Cell::gru:  // d_gates: n r z and, with reset_after, W_hn h + b_hn; saved: n r z and that, or r * h
                input_slots = hidden_slots = 3;
                first_hidden = o.reset_after ? 1 : 0;
                gates_slots = o.reset_after ? 4 : 3;
                saved_slots = 4;
                break;
            case Cell::min_gru:  // saved: z n
                input_slots = gates_slots = saved_slots = 2;
                break;
            case Cell::min_lstm:  // saved: f i n, of which f and i are raised alike where both are shut
                input_slots = gates_slots = saved_slots = 3;
                break;
            case Cell::ind_rnn:  // saved: φ
                input_slots = gates_slots = saved_slots = 1;
                break;
        }
        hidden_gate = first_hidden;
        if (variant()) lay_out_variant();
    }

    bool variant() const {
        const Options& o = options;
        return o.cell > Cell::lstm || o.layer_norm || o.zoneout_h > 0 || o.zoneout_c > 0 || o.peephole ||
               o.coupled_gates || o.proj_size > 0;
    }
    bool has_c() const { return options.cell == Cell::lstm; }
    bool by_gates() const { return input_slots > 1; }
    bool reset_before() const { return options.cell == Cell::gru && !options.reset_after; }
    // Blocks that stay together where threads share the units.
    int share_blocks() const { return by_gates() && !reset_before() ? 1 : kBlocks; }
    i64 input_width() const { return input_slots * Hp; }
    // An odd number of lines: the weights' gradients read some columns of many rows again and again, whose lines else share few
    // sets of the first cache.
    i64 gates_width() const {
        constexpr i64 kLine = 64 / static_cast<i64>(sizeof(T));
        return (ceil_div(gates_slots * Hp + (options.proj_size ? Pp : 0), kLine) | 1) * kLine;
    }
    i64 saved_width() const { return saved_slots * Hp + (options.layer_norm ? kStats : 0); }
    // layer_norm: behind a token's saved slots, 1 / standard deviation of each group of the input's side, then of the hidden
    // side's, then of c.
    static constexpr i64 kStats = 16;
    // projection: behind a token's slots of d_gates, the gradient of h before zoneout.
    i64 projected_at() const { return gates_slots * Hp; }
    // The layer that weight_hr is: o * tanh(c) to h.
    Layout projection() const { return Layout(Options{Cell::rnn, Nonlinearity::identity, true, H, P}); }

    // The gate, in torch's order, that a slot's rows come from: GRU's n r z (hn) are 2 0 1 (2).
    int gate(int slot) const {
        constexpr int gru[] = {2, 0, 1, 2};
        return options.cell == Cell::gru ? gru[slot] : slot;
    }

    // Panels of the forward products, and the unit blocks of each.
    i64 panels() const { return by_gates() ? blocks : ceil_div(blocks, kBlocks); }
    int panel_vectors(i64 p) const { return by_gates() ? input_slots : static_cast<int>(least(kBlocks, blocks - kBlocks * p)); }
    // Column, in a row of the input projection, of vector j of panel p.
    i64 column(i64 p, int j) const { return by_gates() ? j * Hp + p * L : (kBlocks * p + j) * L; }

    static i64 blocks_size(i64 K, i64 columns) { return K * padded<T>(columns); }

    // Forward's packed weights: input side, hidden side, then biases.
    i64 hidden_at() const { return I * input_width(); }
    i64 candidate_at() const { return hidden_at() + H * 2 * Hp; }  // reset_before: W_hn, by blocks; before it r and z
    i64 bias_at() const { return hidden_at() + P * hidden_slots * Hp; }
    i64 bias_hn_at() const { return bias_at() + input_width(); }
    i64 vectors_at() const { return bias_hn_at() + Hp; }
    i64 projection_at() const { return vectors_at() + vectors_size(); }
    i64 forward_size() const { return projection_at() + (options.proj_size ? H * Pp : 0); }

    // Backward's: towards h (K = the hidden side's slots), then towards x (K = the input's side's slots).
    i64 back_candidate_at() const { return 2 * Hp * Hp; }  // reset_before: W_hn; before it r and z
    i64 back_input_at() const { return hidden_slots * Hp * Pp; }
    i64 back_vectors_at() const { return back_input_at() + blocks_size(input_width(), I); }
    i64 back_projection_at() const { return back_vectors_at() + vectors_size(); }
    i64 backward_size() const { return back_projection_at() + (options.proj_size ? blocks_size(Pp, H) : 0); }

    // A variant's vectors, by their first slot. Those of layer_norm: gains of the input's side and of the hidden side by slot,
    // then the biases by slot of the input's side (the input projection must not hold them), the gain and bias of c.
    int norm_ih_slot() const { return 0; }
    int norm_hh_slot() const { return input_slots; }
    int bias_slot() const { return input_slots + hidden_slots; }
    int norm_c_slot() const { return bias_slot() + input_slots; }
    int bias_c_slot() const { return norm_c_slot() + 1; }
    int peephole_slot() const { return options.layer_norm ? bias_c_slot() + 1 : 0; }  // i f o
    int diagonal_slot() const { return 0; }                                            // IndRNN's weight_hh
    i64 vectors_size() const {
        if (!variant()) return 0;
        return (peephole_slot() + (options.peephole ? 3 : 0) + (options.cell == Cell::ind_rnn ? 1 : 0)) * Hp;
    }

private:
    // Further slots of saved and d_gates. Saved: layer_norm: the normalised sums of each side, and the normalised c;
    // projection: o * tanh(c). An RNN saves φ.
    void lay_out_variant() {
        if (options.cell == Cell::rnn) saved_slots = 1;
        const auto more = [this](int slots) {
            saved_slots += slots;
            return saved_slots - slots;
        };
        if (options.layer_norm) {
            of_input = more(input_slots);
            of_hidden = more(hidden_slots);
            if (has_c()) of_cell = more(1);
            raw_slot = gates_slots;
            gates_slots += hidden_slots;
            first_hidden = raw_slot;
        }
        if (options.proj_size) of_output = more(1);
    }
};

// A token's d_gates behind the real units of each slot. Units that are no units have no gradient, but where an input is infinite
// their gates are NaN: infinity times the padding of the weights.
template <class T>
static inline void clear_padding(const Layout<T>& lay, T* d_gates) {
    for (int slot = 0; slot < lay.gates_slots; ++slot) {
        for (i64 u = lay.H; u < lay.Hp; ++u) d_gates[slot * lay.Hp + u] = T(0);
    }
}

// Rows of W (units of `slots` gates) become columns: panels by gates, or by blocks where there is one slot.
template <class T>
static void pack_rows(const Layout<T>& lay, const T* W, i64 K, int first_slot, int slots, T* packed) {
    constexpr int L = kLanes<T>;
    const bool by_gates = slots > 1;
    const i64 panels = by_gates ? lay.blocks : ceil_div(lay.blocks, kBlocks);
    for (i64 p = 0; p < panels; ++p) {
        const int vectors = by_gates ? slots : static_cast<int>(least(kBlocks, lay.blocks - kBlocks * p));
        T* panel = packed + p * K * (by_gates ? slots : kBlocks) * L;
        // Few k at a time: a line of W is read whole, while the part of the panel that is written stays in the cache.
        for (i64 k0 = 0; k0 < K; k0 += 16) {
            const i64 k1 = least(K, k0 + 16);
            for (int j = 0; j < vectors; ++j) {
                const int gate = lay.gate(by_gates ? first_slot + j : first_slot);
                for (int lane = 0; lane < L; ++lane) {
                    const i64 unit = (by_gates ? p : kBlocks * p + j) * L + lane;
                    T* out = panel + j * L + lane;
                    if (unit < lay.H) {
                        const T* row = W + (gate * lay.H + unit) * K;
                        for (i64 k = k0; k < k1; ++k) out[k * vectors * L] = row[k];
                    } else {
                        for (i64 k = k0; k < k1; ++k) out[k * vectors * L] = T(0);
                    }
                }
            }
        }
    }
}

// Columns of W (N of them) stay columns, in panels by blocks; k runs over the units, padded, of `slots` gates.
template <class T>
static void pack_columns(const Layout<T>& lay, const T* W, i64 N, int first_slot, int slots, T* packed) {
    constexpr int L = kLanes<T>;
    const i64 blocks = padded<T>(N) / L;
    const i64 K = slots * lay.Hp;
    for (i64 p = 0; p * kBlocks < blocks; ++p) {
        const i64 width = least(kBlocks, blocks - kBlocks * p) * L;
        const i64 first = p * kBlocks * L;
        T* out = packed + p * K * kBlocks * L;
        for (int s = 0; s < slots; ++s) {
            for (i64 unit = 0; unit < lay.Hp; ++unit, out += width) {
                const i64 real = unit < lay.H ? least(width, N - first) : 0;
                const T* row = W + (lay.gate(first_slot + s) * lay.H + unit) * N + first;
                for (i64 i = 0; i < real; ++i) out[i] = row[i];
                for (i64 i = real; i < width; ++i) out[i] = T(0);
            }
        }
    }
}

template <class T>
static void pack_biases(const Layout<T>& lay, const Weights<const T>& w, T* packed) {
    T* bias = packed + lay.bias_at();
    T* bias_hn = packed + lay.bias_hn_at();
    for (i64 i = 0; i < lay.input_width() + lay.Hp; ++i) bias[i] = T(0);
    if (w.bias_ih == nullptr) return;
    if (lay.options.layer_norm) bias = packed + lay.vectors_at() + lay.bias_slot() * lay.Hp;
    for (int slot = 0; slot < lay.input_slots; ++slot) {
        // With reset_after b_hn is multiplied by r, so it cannot join b_in.
        const bool inside = lay.options.cell == Cell::gru && lay.options.reset_after && slot == 0;
        const i64 row = lay.gate(slot) * lay.H;
        for (i64 unit = 0; unit < lay.H; ++unit) {
            bias[slot * lay.Hp + unit] = w.bias_ih[row + unit] + (inside || w.bias_hh == nullptr ? T(0) : w.bias_hh[row + unit]);
            if (inside) bias_hn[unit] = w.bias_hh[row + unit];
        }
    }
}

// `slots` vectors of H, gate by gate in torch's order if they are gates'; zeros where there are none.
template <class T>
static void pack_vector(const Layout<T>& lay, const T* values, int first_gate_slot, int slots, bool gates, T* to) {
    for (int slot = 0; slot < slots; ++slot, to += lay.Hp) {
        const i64 row = (gates ? lay.gate(first_gate_slot + slot) : slot) * lay.H;
        for (i64 u = 0; u < lay.Hp; ++u) to[u] = values != nullptr && u < lay.H ? values[row + u] : T(0);
    }
}

template <class T>
static void pack_vectors(const Layout<T>& lay, const Weights<const T>& w, T* to) {
    const i64 Hp = lay.Hp;
    if (lay.options.cell == Cell::ind_rnn) pack_vector(lay, w.weight_hh, 0, 1, false, to);
    if (lay.options.layer_norm) {
        pack_vector(lay, w.norm_ih, 0, lay.input_slots, true, to + lay.norm_ih_slot() * Hp);
        pack_vector(lay, w.norm_hh, lay.hidden_gate, lay.hidden_slots, true, to + lay.norm_hh_slot() * Hp);
        pack_vector<T>(lay, nullptr, 0, lay.input_slots, false, to + lay.bias_slot() * Hp);  // see pack_biases
        pack_vector(lay, w.norm_c, 0, 1, false, to + lay.norm_c_slot() * Hp);
        pack_vector(lay, w.bias_c, 0, 1, false, to + lay.bias_c_slot() * Hp);
    }
    if (lay.options.peephole) {
        const int missing = lay.options.coupled_gates ? 1 : 0;  // i
        T* const i = to + lay.peephole_slot() * Hp;
        pack_vector<T>(lay, nullptr, 0, missing, false, i);
        pack_vector(lay, w.weight_peephole, 0, 3 - missing, false, i + missing * Hp);
    }
}

template <class T>
static void pack(const Options& options, const Weights<const T>& w, bool backward, T* packed) {
    const Layout<T> lay(options);
    if (backward) {
        if (lay.reset_before()) {
            pack_columns(lay, w.weight_hh, lay.H, 1, 2, packed);
            pack_columns(lay, w.weight_hh, lay.H, 0, 1, packed + lay.back_candidate_at());
        } else if (lay.hidden_slots > 0) {
            pack_columns(lay, w.weight_hh, lay.P, lay.hidden_gate, lay.hidden_slots, packed);
        }
        pack_columns(lay, w.weight_ih, lay.I, 0, lay.input_slots, packed + lay.back_input_at());
        if (lay.variant()) pack_vectors(lay, w, packed + lay.back_vectors_at());
        if (options.proj_size > 0) pack_columns(lay.projection(), w.weight_hr, lay.H, 0, 1, packed + lay.back_projection_at());
        return;
    }
    pack_rows(lay, w.weight_ih, lay.I, 0, lay.input_slots, packed);
    if (lay.reset_before()) {
        pack_rows(lay, w.weight_hh, lay.H, 1, 2, packed + lay.hidden_at());
        pack_rows(lay, w.weight_hh, lay.H, 0, 1, packed + lay.candidate_at());
    } else if (lay.hidden_slots > 0) {
        pack_rows(lay, w.weight_hh, lay.P, lay.hidden_gate, lay.hidden_slots, packed + lay.hidden_at());
    }
    if (lay.variant()) pack_vectors(lay, w, packed + lay.vectors_at());
    if (options.proj_size > 0) pack_rows(lay.projection(), w.weight_hr, lay.H, 0, 1, packed + lay.projection_at());
    pack_biases(lay, w, packed);
}

template <class T>
static Sizes sizes(const Options& options) {
    const Layout<T> lay(options);
    return {lay.forward_size(), lay.backward_size(), lay.saved_width(), lay.gates_width(), lay.input_width()};
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
