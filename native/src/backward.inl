// The backward pass's sweep from each sequence's last step to its first: what is sequential, d_gates of every token.

namespace throughtime::THROUGHTIME_NAMESPACE {

template <class T>
static Sweep backward_sweep(const Layout<T>& lay, i64 batch, i64 steps) {
    const int vectors = static_cast<int>(least(kBlocks, lay.blocks));
    if (lay.hidden_slots == 0) {  // cells alone: as much as short products, but none to share
        return {batch, 1, max_rows(vectors), vectors, kVectorBytes, 0, 64 * ceil_div(lay.blocks, kBlocks), steps, lay.variant()};
    }
    return {batch, ceil_div(lay.blocks, kBlocks), max_rows(vectors), vectors, kVectorBytes,
            static_cast<i64>(sizeof(T)) * lay.hidden_slots * lay.Hp * lay.Pp, lay.hidden_slots * lay.Hp, steps, lay.variant()};
}

// One thread's part of one direction.
template <class T>
class BackwardSweep {
public:
    BackwardSweep(const BackwardLayer<T>& layer, const BackwardDirection<T>& direction, const Share& share, Barrier& barrier)
        : layer_(layer), d_(direction), lay_(layer.options), share_(share), barrier_(barrier) {
        rows_ = share.rows(layer.plan.batch);
        panels_ = ceil_div(lay_.blocks, kBlocks);
        first_panel_ = share.by_units ? panels_ * share.member / share.members : 0;
        last_panel_ = share.by_units ? panels_ * (share.member + 1) / share.members : panels_;
    }

    static std::size_t workspace_size(const Layout<T>&, i64 batch) { return kLists * Workspace::size_of<T*>(batch); }
    // Shared by the threads of a direction: zeros, then direct and d_c by rank.
    static std::size_t shared_size(const Layout<T>& lay, i64 batch) {
        return Workspace::size_of<T>(lay.gates_width()) + 2 * Workspace::size_of<T>(batch * lay.Hp);
    }

    void run(char* own, char* shared) {
        take(own, shared);
        start();
        wait();
        const i64 steps = layer_.plan.steps;
        for (i64 done = 0; done < steps; ++done) {
            const i64 t = d_.reverse ? done : steps - 1 - done;
            const i64 n = share_.rows(layer_.plan.active[t]);
            fill(t, n);
            for_panels(n, [&](auto R, auto NB, i64 first, i64 p) {
                cells().template step<decltype(R)::value, decltype(NB)::value>(at_, first, p);
            });
            if (lay_.reset_before()) {
                wait();
                for_panels(n, [&](auto R, auto NB, i64 first, i64 p) {
                    cells().template through_reset<decltype(R)::value, decltype(NB)::value>(at_, first, p);
                });
            }
            wait();
        }
        finish();
    }

protected:
    static constexpr int kLists = 10;

    i64 rank(i64 row) const { return share_.rank(row); }
    BackwardCells<T> cells() const { return {lay_, d_.packed}; }

    void wait() {
        if (share_.by_units) barrier_.wait(share_.members);
    }

    void take(char* own, char* shared) {
        T*** const lists[] = {const_cast<T***>(&at_.d_y), const_cast<T***>(&at_.h), const_cast<T***>(&at_.h_prev),
                              const_cast<T***>(&at_.masks), const_cast<T***>(&at_.c_prev), const_cast<T***>(&at_.saved),
                              const_cast<T***>(&at_.d_later), &at_.d_gates, &at_.direct, &at_.d_c};
        for (T*** list : lists) {
            *list = reinterpret_cast<T**>(own);
            own += Workspace::size_of<T*>(layer_.plan.batch);
        }
        zeros_ = reinterpret_cast<const T*>(shared);
        direct_ = reinterpret_cast<T*>(shared + Workspace::size_of<T>(lay_.gates_width()));
        d_c_ = direct_ + Workspace::size_of<T>(layer_.plan.batch * lay_.Hp) / sizeof(T);
    }

    // Upstream gradients of the final state are where the way back begins.
    void start() {
        if (share_.by_units && share_.member != 0 && !replica_) return;
        for (i64 row = 0; row < rows_; ++row) {
            const i64 k = rank(row), b = layer_.plan.order[k];
            set_row(direct_ + k * lay_.Hp, d_.d_h_n.data != nullptr ? d_.d_h_n.at(b) : nullptr, lay_.P);
            if (lay_.options.cell == Cell::lstm) {
                set_row(d_c_ + k * lay_.Hp, d_.d_c_n.data != nullptr ? d_.d_c_n.at(b) : nullptr, lay_.H);
            }
        }
    }

    void set_row(T* row, const T* values, i64 count) const {
        for (i64 u = 0; u < lay_.Hp; ++u) row[u] = values != nullptr && u < count ? values[u] : T(0);
    }

    void fill(i64 t, i64 n) {
        const Plan& plan = layer_.plan;
        for (i64 row = 0; row < n; ++row) {
            const i64 k = rank(row), b = plan.order[k], token = plan.offset[t] + k;
            const bool first = d_.reverse ? t == plan.length[k] - 1 : t == 0;
            const bool last = d_.reverse ? t == 0 : t == plan.length[k] - 1;
            const i64 before = d_.reverse ? t + 1 : t - 1, after = d_.reverse ? t - 1 : t + 1;
            at_.d_y[row] = d_.d_y.at(t, b);
            at_.h[row] = d_.y.at(t, b);
            at_.h_prev[row] = !first ? d_.y.at(before, b) : d_.h_0.data != nullptr ? d_.h_0.at(b) : zeros_;
            if (lay_.options.recurrent_mask) at_.masks[row] = d_.masks.recurrent.at(b);
            at_.saved[row] = d_.saved + token * lay_.saved_width();
            if (lay_.options.cell == Cell::lstm) {
                at_.c_prev[row] = !first ? d_.saved + (plan.offset[before] + k) * lay_.saved_width() + 4 * lay_.Hp
                                  : d_.c_0.data != nullptr ? d_.c_0.at(b) : zeros_;
            }
            at_.d_later[row] = last ? zeros_ : hidden_side(plan.offset[after] + k);
            at_.d_gates[row] = d_gates_of(token);
            at_.direct[row] = direct_ + k * lay_.Hp;
            at_.d_c[row] = d_c_ + k * lay_.Hp;
        }
    }

    T* d_gates_of(i64 token) const { return replica_ ? d_gates_ : d_gates_ + token * lay_.gates_width(); }
    // Where the product towards h starts to read a token's d_gates: r and z only where the reset comes before it.
    const T* hidden_side(i64 token) const {
        return d_gates_of(token) + (lay_.reset_before() ? 1 : lay_.first_hidden) * lay_.Hp;
    }

    template <class F>
    void for_panels(i64 n, F&& f) {
        for (i64 p = first_panel_; p < last_panel_; ++p) {
            with_constant<kBlocks>(static_cast<int>(least(kBlocks, lay_.blocks - kBlocks * p)), [&](auto NB) {
                for_tiles<decltype(NB)::value>(n, [&](auto R, i64 first) { f(R, NB, first, p); });
            });
        }
    }

    // Gradients of the initial state: one step further back, without a cell.
    void finish() {
        const Plan& plan = layer_.plan;
        if (d_.d_h_0.data != nullptr) {
            for (i64 row = 0; row < rows_; ++row) {
                const i64 k = rank(row);
                at_.d_later[row] = hidden_side(plan.offset[d_.reverse ? plan.length[k] - 1 : 0] + k);
                if (lay_.options.recurrent_mask) at_.masks[row] = d_.masks.recurrent.at(plan.order[k]);
                at_.direct[row] = direct_ + k * lay_.Hp;
            }
            for_panels(rows_, [&](auto R, auto NB, i64 first, i64 p) {
                Vec<T> d_h[decltype(R)::value][decltype(NB)::value];
                cells().d_hidden(at_, first, p, NothingComes{}, d_h);
                for (int r = 0; r < decltype(R)::value; ++r) {
                    for (int j = 0; j < decltype(NB)::value; ++j) {
                        const i64 u = (p * kBlocks + j) * kLanes<T>;
                        store_part(d_.d_h_0.at(plan.order[rank(first + r)]) + u, d_h[r][j], cells().real_lanes(u));
                    }
                }
            });
        }
        finish_c();
    }

    void finish_c() {
        const Plan& plan = layer_.plan;
        if (d_.d_c_0.data == nullptr || lay_.options.cell != Cell::lstm || (share_.by_units && share_.member != 0)) return;
        for (i64 row = 0; row < rows_; ++row) {
            const i64 k = rank(row);
            __builtin_memcpy(d_.d_c_0.at(plan.order[k]), d_c_ + k * lay_.Hp, static_cast<std::size_t>(lay_.H) * sizeof(T));
        }
    }

    const BackwardLayer<T>& layer_;
    const BackwardDirection<T>& d_;
    Layout<T> lay_;
    Share share_;
    Barrier& barrier_;
    i64 rows_, panels_, first_panel_, last_panel_;
    BackRows<T> at_{};
    const T* zeros_ = nullptr;
    T* direct_ = nullptr;
    T* d_c_ = nullptr;
    T* d_gates_ = d_.d_gates;
    bool replica_ = false;  // direct, d_c and d_gates are this thread's own, of the layer's only row: see VariantBackward
};

// The whole layer, each thread's part by `Part`: BackwardSweep, or VariantBackward. run(part, direction, own, shared).
template <class T, class Part, class Run>
static void sweep_back(const BackwardLayer<T>& layer, Run&& run) {
    const Layout<T> lay(layer.options);
    const i64 batch = layer.plan.batch;
    const Sweep sweep = backward_sweep(lay, batch, layer.plan.steps);
    const int threads = useful_threads(layer.threads, layer.directions, sweep);
    const std::size_t own = Part::workspace_size(lay, batch), shared = Part::shared_size(lay, batch);
    Workspace workspace;
    workspace.reserve(own * static_cast<std::size_t>(threads) + shared * 2);
    char* const shared_at = workspace.take<char>(static_cast<i64>(shared) * 2);
    char* const own_at = workspace.take<char>(static_cast<i64>(own) * threads);
    for (int d = 0; d < 2; ++d) __builtin_memset(shared_at + shared * d, 0, Workspace::size_of<T>(lay.gates_width()));
    Barrier barriers[2];
    in_threads(threads, [&](int thread, int count) {
        const Share share = share_of(thread, count, layer.directions, sweep);
        const i64 row_bytes = static_cast<i64>(sizeof(T)) * (lay.saved_width() + lay.gates_width() + 5 * lay.Hp);
        for (int d = share.first_direction; d < share.last_direction; ++d) {
            for_row_blocks(share, sweep, row_bytes, [&](const Share& block) {
                Part part(layer, layer.direction[d], block, barriers[d]);
                run(part, d, own_at + own * static_cast<std::size_t>(thread), shared_at + shared * d);
            });
        }
    });
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
