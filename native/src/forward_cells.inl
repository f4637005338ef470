// One step of some sequences: the recurrent product of a tile, and the cells on the sums of some tiles.
//
// The product starts from zero and the input projection is added at its end: two sums of half the length round less than
// one. Equations: docs/derivations/{rnn,gru,lstm}.md. Where a block of units is the last, `n` of its lanes are real.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Pointers of one thread's sequences at one step, by their place among the thread's.
template <class T>
struct StepRows {
    const T** h_prev;  // H
    const T** left;    // H, what weight_hh multiplies: h_prev, or its masked copy
    const T** c_prev;  // LSTM: H real units
    const T** gates;   // input projection, input_width
    T** y;             // out, H
    T** c;             // LSTM: out, Hp
    T** saved;         // out, saved_width; null for inference
    T** reset_h;       // GRU, reset before: out of its first half, r * h
    T** update;        // GRU, reset before: out of its first half, z
};

template <class T>
struct ForwardCells {
    static constexpr int L = kLanes<T>;
    using V = Vec<T>;
    using S = Simd<T>;

    Layout<T> lay;
    const T* packed;

    int real_lanes(i64 block) const { return static_cast<int>(least(L, lay.H - block * L)); }

    // NV sums of each of R rows, for a cell to go on with.
    template <int R, int NV, class Lines = NothingComes>
    void multiply(const T* const* rows, const T* panel, V (*sums)[NV], const Lines& lines = {}) const {
        product_for_cell<T, R, NV, false>(rows, lay.H, panel, *reinterpret_cast<V (*)[R][NV]>(sums), lines);
    }

    // The same of weight_hh in panels by gates. TABLE: `at.gates` are rows of a table, which lie anywhere.
    template <int R, int NV, bool TABLE>
    void recurrent(const StepRows<T>& at, i64 first, i64 p, V (*sums)[NV]) const {
        const T* const panel = packed + lay.hidden_at() + p * lay.H * NV * L;
        if constexpr (TABLE) {
            multiply<R>(at.left + first, panel, sums, coming<R>(at, first, p * L));
        } else {
            prefetch<R>(at, first, p * L);
            multiply<R>(at.left + first, panel, sums);
        }
    }

    // Cells are functions of their own, as is the product: where a compiler puts some into the loops over tiles, these run a
    // twentieth slower. `acc` are the rows' sums.
    //
    // Twice over the rows: tanh waits for c, and a processor looks little more than a row ahead.
    __attribute__((noinline)) void lstm(const StepRows<T>& at, i64 first, i64 rows, i64 p, V (*acc)[4]) const {
        const i64 u = p * L, Hp = lay.Hp;
        const int n = real_lanes(p);
        for (i64 r = 0; r < rows; ++r) {
            const T* const gates = at.gates[first + r] + u;
            const V i = sigmoid<T>(acc[r][0] + load(gates)), f = sigmoid<T>(acc[r][1] + load(gates + Hp));
            const V g = hyperbolic_tangent<T>(acc[r][2] + load(gates + 2 * Hp)), o = sigmoid<T>(acc[r][3] + load(gates + 3 * Hp));
            const V c = S::fma(f, load_part(at.c_prev[first + r] + u, n), i * g);
            store(at.c[first + r] + u, c);
            if (T* saved = at.saved[first + r]) {
                store(saved + u, i);
                store(saved + Hp + u, f);
                store(saved + 2 * Hp + u, g);
                store(saved + 3 * Hp + u, o);
            }
            acc[r][0] = c;
            acc[r][1] = o;
        }
        for (i64 r = 0; r < rows; ++r) store_part(at.y[first + r] + u, acc[r][1] * hyperbolic_tangent<T>(acc[r][0]), n);
    }

    // Twice over the rows, as `lstm`: the candidate waits for the reset.
    __attribute__((noinline)) void gru(const StepRows<T>& at, i64 first, i64 rows, i64 p, V (*acc)[3]) const {
        const i64 u = p * L, Hp = lay.Hp;
        const int n = real_lanes(p);
        const V bias_hn = load(packed + lay.bias_hn_at() + u);
        for (i64 r = 0; r < rows; ++r) {
            const T* const gates = at.gates[first + r] + u;
            const V reset = sigmoid<T>(acc[r][0] + load(gates + Hp)), z = sigmoid<T>(acc[r][1] + load(gates + 2 * Hp));
            const V hidden = acc[r][2] + bias_hn;
            if (T* saved = at.saved[first + r]) {
                store(saved + Hp + u, reset);
                store(saved + 2 * Hp + u, z);
                store(saved + 3 * Hp + u, hidden);
            }
            acc[r][0] = S::fma(reset, hidden, load(gates));
            acc[r][1] = z;
        }
        for (i64 r = 0; r < rows; ++r) {
            const V candidate = hyperbolic_tangent<T>(acc[r][0]);
            const V h_prev = load_part(at.h_prev[first + r] + u, n);
            store_part(at.y[first + r] + u, S::fma(acc[r][1], h_prev - candidate, candidate), n);
            if (T* saved = at.saved[first + r]) store(saved + u, candidate);
        }
    }

    // First half of a GRU that resets before the product: r and z of a block of units.
    template <int R>
    void reset_and_update_sums(const StepRows<T>& at, i64 first, i64 p, V (*sums)[2]) const {
        multiply<R>(at.left + first, packed + lay.hidden_at() + p * lay.H * 2 * L, sums);
    }

    __attribute__((noinline)) void reset_and_update(const StepRows<T>& at, i64 first, i64 rows, i64 p, V (*acc)[2]) const {
        const i64 u = p * L, Hp = lay.Hp;
        const int n = real_lanes(p);
        for (i64 r = 0; r < rows; ++r) {
            const T* const gates = at.gates[first + r] + u;
            const V reset = sigmoid<T>(acc[r][0] + load(gates + Hp)), z = sigmoid<T>(acc[r][1] + load(gates + 2 * Hp));
            const V reset_h = reset * load_part(at.h_prev[first + r] + u, n);
            store(at.reset_h[first + r] + u, reset_h);
            store(at.update[first + r] + u, z);
            if (T* saved = at.saved[first + r]) {
                store(saved + Hp + u, reset);
                store(saved + 2 * Hp + u, z);
                store(saved + 3 * Hp + u, reset_h);
            }
        }
    }

    // Second half: the candidate and the new state of a panel of blocks, from r * h of all units.
    template <int R, int NB>
    void candidate_sums(const StepRows<T>& at, i64 first, i64 p, V (*sums)[NB]) const {
        multiply<R>(const_cast<const T* const*>(at.reset_h) + first, packed + lay.candidate_at() + p * lay.H * kBlocks * L, sums);
    }

    template <int NB>
    __attribute__((noinline)) void candidate(const StepRows<T>& at, i64 first, i64 rows, i64 p, V (*acc)[NB]) const {
        for (i64 r = 0; r < rows; ++r) {
            for (int j = 0; j < NB; ++j) {
                const i64 u = (p * kBlocks + j) * L;
                const int n = real_lanes(u / L);
                const V value = hyperbolic_tangent<T>(acc[r][j] + load(at.gates[first + r] + u));
                const V z = load(at.update[first + r] + u);
                const V h_prev = load_part(at.h_prev[first + r] + u, n);
                store_part(at.y[first + r] + u, S::fma(z, h_prev - value, value), n);
                if (T* saved = at.saved[first + r]) store(saved + u, value);
            }
        }
    }

    template <int R, int NB>
    void rnn_sums(const StepRows<T>& at, i64 first, i64 p, V (*sums)[NB]) const {
        multiply<R>(at.left + first, packed + lay.hidden_at() + p * lay.H * kBlocks * L, sums);
    }

    template <int NB>
    void rnn(const StepRows<T>& at, i64 first, i64 rows, i64 p, V (*acc)[NB]) const {
        switch (lay.options.nonlinearity) {
            case Nonlinearity::tanh: return finish_rnn<Nonlinearity::tanh>(at, first, rows, p, acc);
            case Nonlinearity::relu: return finish_rnn<Nonlinearity::relu>(at, first, rows, p, acc);
            case Nonlinearity::sigmoid: return finish_rnn<Nonlinearity::sigmoid>(at, first, rows, p, acc);
            case Nonlinearity::identity: return finish_rnn<Nonlinearity::identity>(at, first, rows, p, acc);
        }
    }

    // Lines that the cell will read and write travel while the product is computed.
    template <int R>
    void prefetch(const StepRows<T>& at, i64 first, i64 u) const {
        for (int r = 0; r < R; ++r) {
            for (int slot = 0; slot < lay.input_slots; ++slot) __builtin_prefetch(at.gates[first + r] + slot * lay.Hp + u);
        }
        if (at.saved[first] == nullptr) return;
        for (int r = 0; r < R; ++r) {
            for (int slot = 0; slot < lay.saved_slots; ++slot) __builtin_prefetch(at.saved[first + r] + slot * lay.Hp + u, 1);
        }
    }

private:
    // For large tiles the output would make the list too long: its lines would then come close together.
    static constexpr bool kOutputComes = kRowsOfFour <= 3;
    static constexpr int kPieces = 4 + 5 + kOutputComes;  // of a row: slots of gates and of saved, an LSTM's; y

    // What `prefetch` fetches all at once, and the output, over the whole of the product; rows that are near anyway come sooner the
    // other way. Where all slots begin with a line, its second half was fetched with the block of units before.
    template <int R>
    Coming<T, kPieces * R, 1> coming(const StepRows<T>& at, i64 first, i64 u) const {
        Coming<T, kPieces * R, 1> lines;
        constexpr i64 kLine = 64 / static_cast<i64>(sizeof(T));
        if (lay.Hp % kLine == 0 && u % kLine != 0) return lines;
        for (i64 row = first; row < first + R; ++row) {
            for (int slot = 0; slot < lay.input_slots; ++slot) lines.read(at.gates[row] + slot * lay.Hp + u);
        }
        for (i64 row = first; kOutputComes && row < first + R; ++row) lines.write(at.y[row] + u);
        if (at.saved[first] == nullptr) return lines;
        for (i64 row = first; row < first + R; ++row) {
            for (int slot = 0; slot < lay.saved_slots; ++slot) lines.write(at.saved[row] + slot * lay.Hp + u);
        }
        return lines;
    }

    template <Nonlinearity PHI, int NB>
    __attribute__((noinline)) void finish_rnn(const StepRows<T>& at, i64 first, i64 rows, i64 p, V (*acc)[NB]) const {
        for (i64 r = 0; r < rows; ++r) {
#pragma GCC unroll 4
            for (int j = 0; j < NB; ++j) {
                const i64 u = (p * kBlocks + j) * L;
                store_part(at.y[first + r] + u, apply<T, PHI>(acc[r][j] + load(at.gates[first + r] + u)), real_lanes(u / L));
            }
        }
    }
};

}  // namespace throughtime::THROUGHTIME_NAMESPACE
