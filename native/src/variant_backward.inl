// The backward pass of a variant: as BackwardSweep goes back through time, with a step in passes over rows. Where threads share
// the units of the only row, each runs all passes on one of its own, as in VariantForward; the first thread's is the layer's.

namespace throughtime::THROUGHTIME_NAMESPACE {

template <class T>
class VariantBackward : BackwardSweep<T> {
    using Base = BackwardSweep<T>;
    using Base::at_, Base::barrier_, Base::d_, Base::lay_, Base::layer_, Base::rank, Base::rows_, Base::share_, Base::wait;

public:
    VariantBackward(const BackwardLayer<T>& layer, const BackwardDirection<T>& direction, const Share& share, Barrier& barrier)
        : Base(layer, direction, share, barrier), cells_{lay_, direction.packed + lay_.back_vectors_at(), SumSlots<T>(lay_)} {
        const int member = share.by_units ? share.member : 0, members = share.by_units ? share.members : 1;
        panels_ = panels_of(lay_.blocks, member, members);
        h_panels_ = panels_of(h_blocks(), member, members);
        h_units_ = blocks_in(h_panels_, h_blocks());
        this->replica_ = share.by_units && share.member > 0;
    }

    // Further: a row's values of this step, in one place for all rows of a thread, which stays in the first cache: d_m, d_cell and
    // delta, which has as many slots as there are biases. And a replica's direct, d_c, d_gates and sums.
    static std::size_t workspace_size(const Layout<T>& lay, i64 batch) {
        const SumSlots<T> slots(lay);
        return Base::workspace_size(lay, batch) + 3 * Workspace::size_of<T*>(batch) +
               Workspace::size_of<T>((2 + slots.norm_ih) * lay.Hp) +
               Workspace::size_of<T>((2 + slots.count) * lay.Hp + lay.gates_width());
    }
    // Further, by rank: d_h, of an only row in two places, and, for a projection, d_m.
    static std::size_t shared_size(const Layout<T>& lay, i64 batch) {
        return Base::shared_size(lay, batch) + Workspace::size_of<T>((2 * batch + 1) * lay.Hp);
    }
    // By rank, for all directions: what is summed over steps.
    static i64 sums_size(const Layout<T>& lay, i64 batch) { return batch * SumSlots<T>(lay).count * lay.Hp; }

    void run(char* own, char* shared, T* sums) {
        Base::take(own, shared);
        sums_ = sums;
        take(own + Base::workspace_size(lay_, layer_.plan.batch), shared + Base::shared_size(lay_, layer_.plan.batch));
        clear_sums();
        this->start();
        const i64 steps = layer_.plan.steps;
        for (i64 done = 0; done < steps; ++done) {
            const i64 t = d_.reverse ? done : steps - 1 - done;
            const i64 n = share_.rows(layer_.plan.active[t]);
            this->fill(t, n);
            step(t, n, done % 2);
        }
        finish();
    }

private:
    i64 h_blocks() const { return lay_.Pp / kLanes<T>; }

    void take(char* own, char* shared) {
        const i64 batch = layer_.plan.batch;
        T*** const lists[] = {&d_h_, &d_m_};
        for (T*** list : lists) {
            *list = reinterpret_cast<T**>(own);
            own += Workspace::size_of<T*>(batch);
        }
        left_ = reinterpret_cast<const T**>(own);
        own += Workspace::size_of<T*>(batch);
        own_d_m_ = reinterpret_cast<T*>(own);
        d_cell_ = own_d_m_ + lay_.Hp;
        delta_ = d_cell_ + lay_.Hp;
        d_h_at_ = reinterpret_cast<T*>(shared);
        d_m_at_ = d_h_at_ + (batch + 1) * lay_.Hp;
        if (!this->replica_) return;
        own += Workspace::size_of<T>((2 + cells_.slots.norm_ih) * lay_.Hp);
        this->direct_ = reinterpret_cast<T*>(own);
        this->d_c_ = this->direct_ + lay_.Hp;
        this->d_gates_ = this->d_c_ + lay_.Hp;
        sums_ = this->d_gates_ + lay_.gates_width();
    }

    void clear_sums() {
        const i64 width = cells_.slots.count * lay_.Hp;
        if (width == 0) return;
        for (i64 row = 0; row < rows_; ++row) {
            __builtin_memset(sums_ + rank(row) * width, 0, static_cast<std::size_t>(width) * sizeof(T));
        }
    }

    THROUGHTIME_INLINE VariantBackRow<T> row_at(i64 t, i64 row) const {
        const i64 k = rank(row), b = layer_.plan.order[k];
        const Options& o = lay_.options;
        T* const d_gates = at_.d_gates[row];
        return {at_.d_y[row],
                d_h_[row],
                o.recurrent_mask ? d_.masks.recurrent.at(b) : nullptr,
                at_.h_prev[row],
                at_.c_prev[row],
                at_.saved[row],
                at_.saved[row] + 4 * lay_.Hp,
                at_.direct[row],
                at_.d_c[row],
                d_m_[row],
                d_cell_,
                o.layer_norm ? delta_ : d_gates,
                d_gates,
                sums_ + k * cells_.slots.count * lay_.Hp,
                zone_of<T>(d_.masks.zoneout_h, o.zoneout_h, o.zoneout_masks, t, b),
                zone_of<T>(d_.masks.zoneout_c, o.zoneout_c, o.zoneout_masks, t, b)};
    }

    // What comes to h_t from the hidden side of the later step.
    void multiply(i64 n) {
        if (lay_.hidden_slots == 0) return;
        constexpr int pieces = 2 + 15 + 8;  // an LSTM's with all options
        multiply_by_blocks<T, true>(at_.d_later, n, lay_.hidden_slots * lay_.Hp, d_.packed, h_blocks(), h_panels_.first,
                                    h_panels_.last, d_h_, [&](auto R, auto NB, i64 first, i64 p) {
                                        return coming_back<T, pieces, decltype(R)::value, decltype(NB)::value>(
                                            lay_, at_, first, p * kBlocks * kLanes<T>);
                                    });
    }

    // A row's lines of a block of units, on their way from the second cache while the row before is computed.
    void come_near(i64 row, i64 u) const {
        if (u * static_cast<i64>(sizeof(T)) % 64 != 0) return;  // the same line again
        const i64 Hp = lay_.Hp, count = cells_.slots.count;
        for (int slot = 0; slot < lay_.saved_slots; ++slot) __builtin_prefetch(at_.saved[row] + slot * Hp + u);
        for (int slot = 0; slot < lay_.gates_slots; ++slot) __builtin_prefetch(at_.d_gates[row] + slot * Hp + u, 1);
        for (int slot = 0; slot < count; ++slot) __builtin_prefetch(sums_ + (rank(row) * count + slot) * Hp + u, 1);
    }

    void step(i64 t, i64 n, i64 place) {
        // Of a copy the compiler knows that no store changes it: what is used of it stays in registers.
        const VariantBackCells<T> cells = cells_;
        const bool projection = lay_.options.proj_size > 0, norm = lay_.options.layer_norm;
        const i64 first = share_.by_units ? place : 0;
        for (i64 row = 0; row < n; ++row) {
            d_h_[row] = d_h_at_ + (first + rank(row)) * lay_.Hp;
            d_m_[row] = projection ? d_m_at_ + rank(row) * lay_.Hp : own_d_m_;
            cells.before_product(row_at(t, row), h_units_);
        }
        multiply(n);
        wait();
        if (projection) {
            for (i64 row = 0; row < n; ++row) {
                T* const to = at_.d_gates[row] + lay_.projected_at();
                left_[row] = to;
                cells.part(row_at(t, row), h_blocks(), to);
            }
            multiply_by_blocks<T, false>(left_, n, lay_.Pp, d_.packed + lay_.back_projection_at(), lay_.blocks, panels_.first,
                                         panels_.last, d_m_, nothing_comes);
            wait();
        }
        for (i64 row = 0; row < n; ++row) {
            const VariantBackRow<T> at = row_at(t, row);
            if (!projection) cells.part(at, h_blocks(), at.d_m);
            cells.gates(at, [&](i64 u) { if (row + 1 < n) come_near(row + 1, u); });
            if (lay_.has_c()) cells.cell(at);
            if (norm) cells.norms(at);
            else if (lay_.H < lay_.Hp) clear_padding(lay_, at.d_gates);
        }
    }

    // Gradients of the initial state: one step further back, without a cell.
    void finish() {
        const Plan& plan = layer_.plan;
        if (d_.d_h_0.data != nullptr) {
            for (i64 row = 0; row < rows_; ++row) {
                const i64 k = rank(row);
                at_.d_later[row] = this->hidden_side(plan.offset[d_.reverse ? plan.length[k] - 1 : 0] + k);
                at_.direct[row] = this->direct_ + k * lay_.Hp;
                d_h_[row] = d_h_at_ + (share_.by_units ? plan.steps % 2 : k) * lay_.Hp;  // not where others still read the last step's
                cells_.before_product(initial(row), h_units_);
            }
            multiply(rows_);
            for (i64 row = 0; row < rows_; ++row) {
                for (i64 u = h_units_.first * kLanes<T>; u < h_units_.last * kLanes<T>; u += kLanes<T>) {
                    store_part(d_.d_h_0.at(plan.order[rank(row)]) + u, cells_.hidden(initial(row), u),
                               static_cast<int>(least(kLanes<T>, lay_.P - u)));
                }
            }
        }
        this->finish_c();
    }

    // The state before the first step.
    VariantBackRow<T> initial(i64 row) const {
        VariantBackRow<T> at{};
        at.d_h = d_h_[row];
        at.recurrent = lay_.options.recurrent_mask ? d_.masks.recurrent.at(layer_.plan.order[rank(row)]) : nullptr;
        at.direct = at_.direct[row];
        return at;
    }

    VariantBackCells<T> cells_;
    Blocks panels_{}, h_panels_{}, h_units_{};  // of this thread's products
    T** d_h_ = nullptr;
    T** d_m_ = nullptr;
    const T** left_ = nullptr;
    T* d_h_at_ = nullptr;  // by rank, or place
    T* d_m_at_ = nullptr;  // by rank
    T* own_d_m_ = nullptr;
    T* d_cell_ = nullptr;
    T* delta_ = nullptr;
    T* sums_ = nullptr;  // by rank
};

// Gradients of a variant's vectors from the sums of its sequences, in the order of rank.
template <class T>
static void gradient_of_vectors(const BackwardLayer<T>& layer, const BackwardDirection<T>& d, const T* sums) {
    const Layout<T> lay(layer.options);
    const SumSlots<T> slots(lay);
    const Weights<T>& w = d.d_weights;
    const auto write = [&](T* out, i64 row, int slot) {
        if (out == nullptr) return;
        for (i64 u = 0; u < lay.H; u += kLanes<T>) {
            Vec<T> sum{};
            for (i64 k = 0; k < layer.plan.batch; ++k) sum += load(sums + (k * slots.count + slot) * lay.Hp + u);
            store_part(out + row * lay.H + u, sum, static_cast<int>(least(kLanes<T>, lay.H - u)));
        }
    };
    for (int s = 0; lay.options.layer_norm && s < lay.input_slots; ++s) {
        write(w.bias_ih, lay.gate(s), slots.biases + s);
        write(w.norm_ih, lay.gate(s), slots.norm_ih + s);
    }
    for (int s = 0; lay.options.layer_norm && s < lay.hidden_slots; ++s) {
        write(w.bias_hh, lay.gate(lay.hidden_gate + s), slots.biases + lay.hidden_gate + s);
        write(w.norm_hh, lay.gate(lay.hidden_gate + s), slots.norm_hh + s);
    }
    const int missing = lay.options.coupled_gates ? 1 : 0;
    for (int s = missing; s < 3; ++s) write(w.weight_peephole, s - missing, slots.peephole + s);
    if (lay.options.layer_norm && lay.has_c()) {
        write(w.norm_c, 0, slots.norm_c);
        write(w.bias_c, 0, slots.bias_c);
    }
    if (lay.options.cell == Cell::ind_rnn) write(w.weight_hh, 0, slots.diagonal);
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
