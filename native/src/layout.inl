// Where things lie inside of the core: slots of gates, panels of packed weights, columns of saved values.
//
// A *slot* is one gate's Hp columns in a token's row. The input's side comes first: RNN h; GRU n r z; LSTM i f g o. A
// *panel* is the weights that one tile of outputs needs, (K, NV * lanes), so that the inner loop reads memory in one stream.
// Panels by gates hold, for one block of `lanes` units, a vector for each gate, so that the sums of a unit's gates meet in
// registers and become its new state there. Panels by blocks hold up to four blocks of units of one gate.

namespace throughtime::THROUGHTIME_NAMESPACE {

constexpr int kBlocks = 4;  // blocks of units in a panel by blocks

template <class T>
struct Layout {
    static constexpr int L = kLanes<T>;

    Options options;
    i64 I, H, Hp;
    i64 blocks = 0;        // of units: Hp / lanes
    int input_slots = 0;   // gates on the input's side
    int hidden_slots = 0;  // gates on the hidden side
    int first_hidden = 0;  // slot where the hidden side's start
    int gates_slots = 0;   // of a token's d_gates
    int saved_slots = 0;

    explicit Layout(const Options& o) : options(o), I(o.input_size), H(o.hidden_size), Hp(padded<T>(o.hidden_size)) {
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
                break;
            case Cell::gru:  // d_gates: n r z and, with reset_after, W_hn h + b_hn; saved: n r z and that, or r * h
                input_slots = hidden_slots = 3;
                first_hidden = o.reset_after ? 1 : 0;
                gates_slots = o.reset_after ? 4 : 3;
                saved_slots = 4;
                break;
        }
    }

    bool by_gates() const { return options.cell != Cell::rnn; }
    bool reset_before() const { return options.cell == Cell::gru && !options.reset_after; }
    // Blocks that stay together where threads share the units.
    int share_blocks() const { return by_gates() && !reset_before() ? 1 : kBlocks; }
    i64 input_width() const { return input_slots * Hp; }
    i64 gates_width() const { return gates_slots * Hp; }
    i64 saved_width() const { return saved_slots * Hp; }

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
    i64 bias_at() const { return hidden_at() + H * hidden_slots * Hp; }
    i64 bias_hn_at() const { return bias_at() + input_width(); }
    i64 forward_size() const { return bias_hn_at() + Hp; }

    // Backward's: towards h (K = the hidden side's slots), then towards x (K = the input's side's slots).
    i64 back_candidate_at() const { return 2 * Hp * Hp; }  // reset_before: W_hn; before it r and z
    i64 back_input_at() const { return hidden_slots * Hp * Hp; }
    i64 backward_size() const { return back_input_at() + blocks_size(input_width(), I); }
};

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
static void pack_biases(const Layout<T>& lay, const Weights<T>& w, T* packed) {
    T* bias = packed + lay.bias_at();
    T* bias_hn = packed + lay.bias_hn_at();
    for (i64 i = 0; i < lay.input_width() + lay.Hp; ++i) bias[i] = T(0);
    if (w.bias_ih == nullptr) return;
    for (int slot = 0; slot < lay.input_slots; ++slot) {
        // With reset_after b_hn is multiplied by r, so it cannot join b_in.
        const bool inside = lay.options.cell == Cell::gru && lay.options.reset_after && slot == 0;
        const i64 row = lay.gate(slot) * lay.H;
        for (i64 unit = 0; unit < lay.H; ++unit) {
            bias[slot * lay.Hp + unit] = w.bias_ih[row + unit] + (inside ? T(0) : w.bias_hh[row + unit]);
            if (inside) bias_hn[unit] = w.bias_hh[row + unit];
        }
    }
}

template <class T>
static void pack(const Options& options, const Weights<T>& w, bool backward, T* packed) {
    const Layout<T> lay(options);
    if (backward) {
        if (lay.reset_before()) {
            pack_columns(lay, w.weight_hh, lay.H, 1, 2, packed);
            pack_columns(lay, w.weight_hh, lay.H, 0, 1, packed + lay.back_candidate_at());
        } else {
            pack_columns(lay, w.weight_hh, lay.H, lay.first_hidden, lay.hidden_slots, packed);
        }
        pack_columns(lay, w.weight_ih, lay.I, 0, lay.input_slots, packed + lay.back_input_at());
        return;
    }
    pack_rows(lay, w.weight_ih, lay.I, 0, lay.input_slots, packed);
    if (lay.reset_before()) {
        pack_rows(lay, w.weight_hh, lay.H, 1, 2, packed + lay.hidden_at());
        pack_rows(lay, w.weight_hh, lay.H, 0, 1, packed + lay.candidate_at());
    } else {
        pack_rows(lay, w.weight_hh, lay.H, lay.first_hidden, lay.hidden_slots, packed + lay.hidden_at());
    }
    pack_biases(lay, w, packed);
}

template <class T>
static Sizes sizes(const Options& options) {
    const Layout<T> lay(options);
    return {lay.forward_size(), lay.backward_size(), lay.saved_width(), lay.gates_width(), lay.input_width()};
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
