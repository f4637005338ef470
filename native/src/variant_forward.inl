// The forward pass of a variant: as ForwardSweep goes through time, with a step in passes over rows.
//
// Threads that share the units of a layer's only row share its products: a pass needs the whole row, and to wait for its parts after
// each of them would take longer than the passes do. Every thread runs all passes, the first one on the layer's row, the others on
// *replicas* of their own. The sums that threads give each other have two places in turn, so that one wait a step is enough; a
// projection's, which the next step's product keeps apart, one.

namespace throughtime::THROUGHTIME_NAMESPACE {

template <class T>
class VariantForward : ForwardSweep<T> {
    using Base = ForwardSweep<T>;
    using Base::active, Base::at_, Base::barrier_, Base::blocks_, Base::d_, Base::lay_, Base::layer_, Base::rank, Base::rows_,
        Base::share_, Base::time, Base::wait;

public:
    VariantForward(const ForwardLayer<T>& layer, const ForwardDirection<T>& direction, const Share& share, Barrier& barrier)
        : Base(layer, direction, share, barrier),
          h_panels_(panels_of(lay_.Pp / kLanes<T>, share.by_units ? share.member : 0, share.by_units ? share.members : 1)),
          cells_{lay_, direction.packed + lay_.vectors_at(), direction.packed + lay_.bias_hn_at()} {}

    static std::size_t workspace_size(const Layout<T>& lay, i64 batch) {
        return Base::workspace_size(lay, batch) + 3 * Workspace::size_of<T*>(batch) +
               Workspace::size_of<T>(kept_rows(lay, batch) * lay.saved_width()) + Workspace::size_of<T>(2 * lay.Hp);
    }
    // Further: sums of the hidden side by rank, those of an only row in two places, and sums of the projection by rank; and, where
    // threads share it, a chunk of an only row's input projection.
    static std::size_t shared_size(const Layout<T>& lay, i64 batch) {
        return Base::shared_size(lay, batch) + Workspace::size_of<T>((batch + 1) * most(1, lay.hidden_slots) * lay.Hp) +
               Workspace::size_of<T>(batch * lay.Hp) + Workspace::size_of<T>(Base::chunk_size(lay, 1) * lay.input_width());
    }

    void run(char* own, char* shared) {
        Base::take(own, shared);
        take(own + Base::workspace_size(lay_, layer_.plan.batch), shared + Base::shared_size(lay_, layer_.plan.batch));
        const i64 steps = layer_.plan.steps;
        for (i64 done = 0; done < steps;) {
            if (done > 0) wait();  // until the others have read the chunk before
            const i64 end = d_.projected != nullptr ? steps : this->project_chunk(done);
            wait();
            const T* gates = this->gates_;
            for (; done < end; ++done) {
                const i64 t = time(done), n = active(t);
                if (n == 0 && !share_.by_units) continue;
                this->fill(t, n, gates);
                gates += n * lay_.input_width();
                step(t, n, done % 2);
            }
        }
        wait();  // until the others have read h_0 and c_0: a stream has its state written over
        this->finish();
    }

private:
    // Rows of what is saved where nothing is: one at a time, but for the projection's product.
    static i64 kept_rows(const Layout<T>& lay, i64 batch) { return lay.options.proj_size > 0 ? batch : 1; }

    void take(char* own, char* shared) {
        const i64 batch = layer_.plan.batch;
        T*** const lists[] = {&sums_rows_, &output_rows_, &projected_rows_};
        for (T*** list : lists) {
            *list = reinterpret_cast<T**>(own);
            own += Workspace::size_of<T*>(batch);
        }
        kept_ = reinterpret_cast<T*>(own);
        own += Workspace::size_of<T>(kept_rows(lay_, batch) * lay_.saved_width());
        if (share_.by_units && share_.member > 0) this->replica_ = reinterpret_cast<T*>(own);
        sums_ = reinterpret_cast<T*>(shared);
        shared += Workspace::size_of<T>((batch + 1) * most(1, lay_.hidden_slots) * lay_.Hp);
        projected_ = reinterpret_cast<T*>(shared);
        shared += Workspace::size_of<T>(batch * lay_.Hp);
        if (share_.by_units) this->gates_ = reinterpret_cast<T*>(shared);
    }

    T* saved(i64 row) const {
        if (at_.saved[row] != nullptr) return at_.saved[row];
        return kept_ + (lay_.options.proj_size > 0 ? row : 0) * lay_.saved_width();
    }

    THROUGHTIME_INLINE VariantRow<T> row_at(i64 t, i64 row) const {
        const i64 b = layer_.plan.order[rank(row)];
        const Options& o = lay_.options;
        T* const to = saved(row);
        return {at_.h_prev[row], at_.c_prev[row], o.layer_norm ? to + lay_.of_input * lay_.Hp : at_.gates[row], sums_rows_[row],
                to, at_.c[row], at_.y[row], zone_of<T>(d_.masks.zoneout_h, o.zoneout_h, o.zoneout_masks, t, b),
                zone_of<T>(d_.masks.zoneout_c, o.zoneout_c, o.zoneout_masks, t, b)};
    }

    void multiply(i64 n) {
        const T* const packed = d_.packed + lay_.hidden_at();
        const i64 K = lay_.P, Hp = lay_.Hp;
        const auto ahead = [&](auto R, i64 first, i64 p) {
            ForwardCells<T>{lay_, d_.packed}.template prefetch<decltype(R)::value>(at_, first, p * kLanes<T>);
        };
        switch (lay_.hidden_slots) {
            case 4: return multiply_by_gates<T, 4>(at_.left, n, K, packed, Hp, blocks_.first, blocks_.last, sums_rows_, ahead);
            case 3: return multiply_by_gates<T, 3>(at_.left, n, K, packed, Hp, blocks_.first, blocks_.last, sums_rows_, ahead);
            case 1:
                return multiply_by_blocks<T, false>(at_.left, n, K, packed, lay_.blocks, blocks_.first / kBlocks,
                                                    ceil_div(blocks_.last, kBlocks), sums_rows_, nothing_comes);
            default: return;
        }
    }

    // A row's lines of a block of units, on their way from the second cache while the row before is computed.
    void come_near(i64 row, i64 u) const {
        if (u * static_cast<i64>(sizeof(T)) % 64 != 0) return;  // the same line again
        const i64 Hp = lay_.Hp;
        const T* const to = saved(row) + u;
        for (int slot = 0; slot < lay_.saved_slots; ++slot) __builtin_prefetch(to + slot * Hp, 1);
        for (int slot = 0; slot < lay_.input_slots; ++slot) __builtin_prefetch(at_.gates[row] + slot * Hp + u);
    }

    void step(i64 t, i64 n, i64 place) {
        // Of a copy the compiler knows that no store changes it: what is used of it stays in registers.
        const VariantCells<T> cells = cells_;
        const bool norm = lay_.options.layer_norm;
        const i64 first = share_.by_units ? place : 0;
        for (i64 row = 0; row < n; ++row) sums_rows_[row] = sums_ + (first + rank(row)) * lay_.hidden_slots * lay_.Hp;
        if (lay_.hidden_slots > 0) {
            multiply(n);
            wait();
        }
        for (i64 row = 0; row < n; ++row) {
            const VariantRow<T> at = row_at(t, row);
            if (norm) {
                cells.normalise_input(at_.gates[row], at.saved);
                cells.normalise_hidden(at);
            }
            cells.gates(at, [&](i64 u) { if (row + 1 < n) come_near(row + 1, u); });
            if (lay_.has_c()) cells.output(at);
        }
        if (lay_.options.proj_size > 0) project(t, n);
    }

    void project(i64 t, i64 n) {
        for (i64 row = 0; row < n; ++row) {
            output_rows_[row] = saved(row) + lay_.of_output * lay_.Hp;
            projected_rows_[row] = projected_ + rank(row) * lay_.Hp;
        }
        multiply_by_blocks<T, false>(output_rows_, n, lay_.H, d_.packed + lay_.projection_at(), lay_.Pp / kLanes<T>, h_panels_.first,
                                     h_panels_.last, projected_rows_, nothing_comes);
        wait();
        for (i64 row = 0; row < n; ++row) cells_.projected(row_at(t, row), projected_rows_[row]);
    }

    Blocks h_panels_;  // of the projection's product
    VariantCells<T> cells_;
    T** sums_rows_ = nullptr;
    T** output_rows_ = nullptr;
    T** projected_rows_ = nullptr;
    T* sums_ = nullptr;       // by rank, or place
    T* projected_ = nullptr;  // by rank
    T* kept_ = nullptr;       // of this thread
};

template <class T>
static void forward(const ForwardLayer<T>& layer) {
    if (Layout<T>(layer.options).variant()) sweep_forward<T, VariantForward<T>>(layer);
    else sweep_forward<T, ForwardSweep<T>>(layer);
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
