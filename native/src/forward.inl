// The forward pass of a layer: input projection in chunks of time, then step by step.

namespace throughtime::THROUGHTIME_NAMESPACE {

constexpr i64 kChunkBytes = 256 << 10;  // of a thread's input projection: it stays in the second cache until it is used
// Steps of the inner loop of long products before their sums are laid down: a piece of a panel, 64 KB of AVX2's, stays in the
// second cache while all rows pass by. Pieces for the first cache (128 steps) were slower: laying down costs more than they save.
constexpr i64 kChunkK = kVectorBytes == 64 ? 1024 : 512;

// Tiles as equal as can be: 7 rows are 4 and 3, not 6 and 1; 32 are 6, 6, 5, 5, 5, 5. A small one would wait for its panel.
template <int NV, class F>
static inline void for_tiles(i64 rows, F&& f) {
    constexpr int largest = max_rows(NV);
    i64 first = 0;
    for (i64 left = ceil_div(rows, largest); left > 0; --left) {
        const i64 size = ceil_div(rows - first, left);
        with_constant<largest>(static_cast<int>(size), [&](auto R) { f(R, first); });
        first += size;
    }
}

// out[row][column(p, j)...] = bias + x[row] * panel, for one panel of the input projection.
template <class T>
static void project_panel(const Layout<T>& lay, const T* packed, const T** x, i64 rows, T* out, i64 p) {
    constexpr int L = kLanes<T>;
    with_constant<kBlocks>(lay.panel_vectors(p), [&](auto vectors) {
        constexpr int NV = decltype(vectors)::value;
        const T* panel = packed + p * lay.I * (lay.by_gates() ? NV : kBlocks) * L;
        const T* const bias = packed + lay.bias_at();
        const i64 width = lay.input_width();
        i64 column[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) column[j] = lay.column(p, j);
        for (i64 k = 0; k < lay.I; k += kChunkK) {
            const i64 K = least(kChunkK, lay.I - k);
            for_tiles<NV>(rows, [&](auto tile, i64 first) {
                constexpr int R = decltype(tile)::value;
                Vec<T> acc[R][NV];
                const T* from[R];
                T* const sums = out + first * width;
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) {
                    from[r] = x[first + r] + k;
                    const T* start = k == 0 ? bias : sums + r * width;
#pragma GCC unroll 4
                    for (int j = 0; j < NV; ++j) acc[r][j] = load(start + column[j]);
                }
                product<T, R, NV>(from, K, panel + k * NV * L, acc);
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
                    for (int j = 0; j < NV; ++j) store(sums + r * width + column[j], acc[r][j]);
                }
            });
        }
    });
}

template <class T>
static Sweep forward_sweep(const Layout<T>& lay, i64 batch, i64 steps) {
    const i64 panels = ceil_div(lay.blocks, lay.share_blocks());
    if (lay.hidden_slots == 0) {  // the input projection is all the work there is
        return {batch, panels, max_rows(lay.input_slots), lay.input_slots, kVectorBytes, 0, lay.I, steps, lay.variant()};
    }
    const int vectors = lay.by_gates() ? lay.hidden_slots : static_cast<int>(least(kBlocks, lay.blocks));
    return {batch, panels, max_rows(vectors), vectors, kVectorBytes,
            static_cast<i64>(sizeof(T)) * lay.hidden_slots * lay.Hp * lay.P, lay.P, steps, lay.variant()};
}

// Blocks of units [first, last).
struct Blocks {
    i64 first, last;
};

// Those of one thread where a layer is shared out by units: whole panels of every product.
template <class T>
static Blocks blocks_of(const Layout<T>& lay, int member, int members) {
    const i64 size = lay.share_blocks(), parts = ceil_div(lay.blocks, size);
    return {least(lay.blocks, size * (parts * member / members)), least(lay.blocks, size * (parts * (member + 1) / members))};
}

// One thread's part of one direction.
template <class T>
class ForwardSweep {
public:
    ForwardSweep(const ForwardLayer<T>& layer, const ForwardDirection<T>& direction, const Share& share, Barrier& barrier)
        : layer_(layer), d_(direction), lay_(layer.options), share_(share), barrier_(barrier) {
        rows_ = share.rows(layer.plan.batch);
        chunk_tokens_ = chunk_size(lay_, rows_);
        if (share.by_units) blocks_ = blocks_of(lay_, share.member, share.members);
    }

    static i64 chunk_size(const Layout<T>& lay, i64 rows) {  // tokens
        return most(rows, kChunkBytes / static_cast<i64>(sizeof(T)) / lay.input_width());
    }
    static std::size_t workspace_size(const Layout<T>& lay, i64 batch) {
        const i64 tokens = chunk_size(lay, batch);
        return Workspace::size_of<T>(tokens * lay.input_width()) + Workspace::size_of<const T*>(tokens) +
               kLists * Workspace::size_of<T*>(batch) + (lay.options.recurrent_mask ? Workspace::size_of<T>(batch * lay.Hp) : 0);
    }
    // Shared by the threads of a direction: zeros, c without `saved`, and the first half's results.
    static std::size_t shared_size(const Layout<T>& lay, i64 batch) {
        return Workspace::size_of<T>(lay.Hp) + 2 * Workspace::size_of<T>(batch * lay.Hp);
    }

    void run(char* own, char* shared) {
        take(own, shared);
        const i64 T_ = layer_.plan.steps;
        for (i64 done = 0; done < T_;) {
            const i64 end = d_.projected != nullptr ? T_ : project_chunk(done);
            const T* gates = gates_;
            for (; done < end; ++done) {
                const i64 t = time(done);
                const i64 n = active(t);
                if (n == 0 && !share_.by_units) continue;
                fill(t, n, gates);
                gates += n * lay_.input_width();
                step(n);
            }
        }
        finish();
    }

protected:
    static constexpr int kLists = 9;
    static constexpr i64 kPart = 32;  // rows, see for_parts

    i64 time(i64 done) const { return d_.reverse ? layer_.plan.steps - 1 - done : done; }
    i64 rank(i64 row) const { return share_.rank(row); }
    // Rows of this thread that have a step t.
    i64 active(i64 t) const { return share_.rows(layer_.plan.active[t]); }
    bool starts(i64 t, i64 rank) const { return d_.reverse ? t == layer_.plan.length[rank] - 1 : t == 0; }

    void take(char* own, char* shared) {
        const auto piece = [&own](std::size_t bytes) {
            char* const at = own;
            own += bytes;
            return at;
        };
        gates_ = reinterpret_cast<T*>(piece(Workspace::size_of<T>(chunk_tokens_ * lay_.input_width())));
        x_rows_ = reinterpret_cast<const T**>(piece(Workspace::size_of<const T*>(chunk_tokens_)));
        T*** const lists[kLists] = {const_cast<T***>(&at_.h_prev), const_cast<T***>(&at_.left), const_cast<T***>(&at_.c_prev),
                                    const_cast<T***>(&at_.gates), &at_.y, &at_.c, &at_.saved, &at_.reset_h, &at_.update};
        for (T*** list : lists) {
            *list = reinterpret_cast<T**>(piece(Workspace::size_of<T*>(rows_)));
        }
        masked_ = reinterpret_cast<T*>(own);
        zeros_ = reinterpret_cast<const T*>(shared);
        first_ = reinterpret_cast<T*>(shared + Workspace::size_of<T>(lay_.Hp));
        second_ = first_ + Workspace::size_of<T>(layer_.plan.batch * lay_.Hp) / sizeof(T);
    }

    // Projects as many whole steps as fit; returns the step after them.
    i64 project_chunk(i64 done) {
        i64 tokens = 0, end = done;
        for (; end < layer_.plan.steps; ++end) {
            const i64 t = time(end), n = active(t);
            if (tokens + n > chunk_tokens_) break;
            for (i64 row = 0; row < n; ++row) x_rows_[tokens++] = layer_.x.at(t, layer_.plan.order[rank(row)]);
        }
        const i64 blocks = lay_.by_gates() ? 1 : kBlocks;  // of a panel
        for (i64 p = blocks_.first / blocks; tokens > 0 && p * blocks < blocks_.last; ++p) {
            project_panel(lay_, d_.packed, x_rows_, tokens, gates_, p);
        }
        return end;
    }

    void fill(i64 t, i64 n, const T* gates) {
        const Plan& plan = layer_.plan;
        for (i64 row = 0; row < n; ++row) {
            const i64 k = rank(row), b = plan.order[k], token = plan.offset[t] + k;
            const i64 before = d_.reverse ? t + 1 : t - 1;
            const bool first = starts(t, k);
            at_.gates[row] = d_.projected != nullptr ? d_.projected + d_.ids[token] * lay_.input_width()
                                                     : gates + row * lay_.input_width();
            T* const own = replica_;
            at_.y[row] = own != nullptr ? own : d_.y.at(t, b);
            at_.h_prev[row] = first ? (d_.h_0.data != nullptr ? d_.h_0.at(b) : zeros_) : own != nullptr ? own : d_.y.at(before, b);
            at_.left[row] = lay_.options.recurrent_mask ? masked(row, b) : at_.h_prev[row];
            T* const saved = d_.saved != nullptr && own == nullptr ? d_.saved + token * lay_.saved_width() : nullptr;
            at_.saved[row] = saved;
            if (lay_.options.cell == Cell::lstm) {
                T* const kept = own != nullptr ? own + lay_.Hp : first_ + k * lay_.Hp;
                at_.c[row] = saved != nullptr ? saved + 4 * lay_.Hp : kept;
                at_.c_prev[row] = first ? (d_.c_0.data != nullptr ? d_.c_0.at(b) : zeros_)
                                : saved != nullptr ? d_.saved + (plan.offset[before] + k) * lay_.saved_width() + 4 * lay_.Hp
                                                   : kept;
            }
            at_.reset_h[row] = first_ + k * lay_.Hp;
            at_.update[row] = second_ + k * lay_.Hp;
        }
    }

    // h_{t-1} as weight_hh meets it, in a copy of this thread's: backward masks it again.
    const T* masked(i64 row, i64 b) {
        T* const to = masked_ + row * lay_.Hp;
        const T* const mask = d_.masks.recurrent.at(b);
        for (i64 u = 0; u < lay_.P; ++u) to[u] = at_.h_prev[row][u] * mask[u];
        return to;
    }

    // Of one panel: products of tiles of rows, sums(R, first row, where), then the cells of these rows, cells(first, rows, sums).
    // Of many rows at once, since an activation takes many times as long as its share of the processor: with the cells of one
    // tile after its product, there are not enough of them to fill the time that each waits for itself.
    template <int NV, class Sums, class Cells>
    static void for_parts(i64 n, Sums&& sums, Cells&& cells) {
        Vec<T> acc[kPart + max_rows(NV)][NV];
        const i64 part = ceil_div(n, most(1, ceil_div(n, kPart)));
        i64 first = 0;
        for_tiles<NV>(n, [&](auto R, i64 row) {
            if (row - first >= part) {
                cells(first, row - first, acc);
                first = row;
            }
            sums(R, row, acc + (row - first));
        });
        cells(first, n - first, acc);
    }

    template <int NV, class Sums, class Cells>
    void for_blocks(i64 n, Sums&& sums, Cells&& cells) {
        for (i64 p = blocks_.first; p < blocks_.last; ++p) {
            for_parts<NV>(
                n, [&](auto R, i64 first, auto* acc) { sums(R, first, p, acc); },
                [&](i64 first, i64 rows, auto* acc) { cells(first, rows, p, acc); });
        }
    }

    template <class Sums, class Cells>
    void for_block_panels(i64 n, Sums&& sums, Cells&& cells) {
        for (i64 p = blocks_.first / kBlocks; p * kBlocks < blocks_.last; ++p) {
            with_constant<kBlocks>(static_cast<int>(least(kBlocks, lay_.blocks - kBlocks * p)), [&](auto NB) {
                for_parts<decltype(NB)::value>(
                    n, [&](auto R, i64 first, auto* acc) { sums(R, NB, first, p, acc); },
                    [&](i64 first, i64 rows, auto* acc) { cells(NB, first, rows, p, acc); });
            });
        }
    }

    void step(i64 n) {
        if (d_.projected != nullptr) step<true>(n);
        else step<false>(n);
    }

    template <bool TABLE>
    void step(i64 n) {
        const ForwardCells<T> cells{lay_, d_.packed};
        if (lay_.reset_before()) {
            for_blocks<2>(
                n, [&](auto R, i64 first, i64 p, auto* acc) { cells.template reset_and_update_sums<R.value>(at_, first, p, acc); },
                [&](i64 first, i64 rows, i64 p, auto* acc) { cells.reset_and_update(at_, first, rows, p, acc); });
            wait();
            for_block_panels(
                n,
                [&](auto R, auto NB, i64 first, i64 p, auto* acc) {
                    cells.template candidate_sums<R.value, NB.value>(at_, first, p, acc);
                },
                [&](auto NB, i64 first, i64 rows, i64 p, auto* acc) {
                    cells.template candidate<NB.value>(at_, first, rows, p, acc);
                });
        } else if (lay_.options.cell == Cell::lstm) {
            for_blocks<4>(
                n, [&](auto R, i64 first, i64 p, auto* acc) { cells.template recurrent<R.value, 4, TABLE>(at_, first, p, acc); },
                [&](i64 first, i64 rows, i64 p, auto* acc) { cells.lstm(at_, first, rows, p, acc); });
        } else if (lay_.options.cell == Cell::gru) {
            for_blocks<3>(
                n, [&](auto R, i64 first, i64 p, auto* acc) { cells.template recurrent<R.value, 3, TABLE>(at_, first, p, acc); },
                [&](i64 first, i64 rows, i64 p, auto* acc) { cells.gru(at_, first, rows, p, acc); });
        } else {
            for_block_panels(
                n,
                [&](auto R, auto NB, i64 first, i64 p, auto* acc) {
                    cells.template rnn_sums<R.value, NB.value>(at_, first, p, acc);
                },
                [&](auto NB, i64 first, i64 rows, i64 p, auto* acc) { cells.template rnn<NB.value>(at_, first, rows, p, acc); });
        }
        wait();
    }

    void wait() {
        if (share_.by_units) barrier_.wait(share_.members);
    }

    // Final states, and zeros behind each sequence's end.
    void finish() {
        if (share_.by_units && share_.member != 0) return;
        const Plan& plan = layer_.plan;
        const i64 H = lay_.H, P = lay_.P;
        for (i64 row = 0; row < rows_; ++row) {
            const i64 k = rank(row), b = plan.order[k], last = d_.reverse ? 0 : plan.length[k] - 1;
            __builtin_memcpy(d_.h_n.at(b), d_.y.at(last, b), static_cast<std::size_t>(P) * sizeof(T));
            if (lay_.options.cell == Cell::lstm) {
                const T* c = d_.saved != nullptr ? d_.saved + (plan.offset[last] + k) * lay_.saved_width() + 4 * lay_.Hp
                                                 : first_ + k * lay_.Hp;
                __builtin_memcpy(d_.c_n.at(b), c, static_cast<std::size_t>(H) * sizeof(T));
            }
            for (i64 t = plan.length[k]; d_.y.has_padding() && t < plan.steps; ++t) {
                __builtin_memset(d_.y.at(t, b), 0, static_cast<std::size_t>(P) * sizeof(T));
            }
        }
    }

    const ForwardLayer<T>& layer_;
    const ForwardDirection<T>& d_;
    Layout<T> lay_;
    Share share_;
    Barrier& barrier_;
    i64 rows_, chunk_tokens_;
    Blocks blocks_{0, lay_.blocks};
    T* gates_ = nullptr;
    const T** x_rows_ = nullptr;
    T* masked_ = nullptr;  // by row of this thread
    T* replica_ = nullptr;  // h and c, where this thread does what another writes to the layer's only row: see VariantForward
    StepRows<T> at_{};
    const T* zeros_ = nullptr;
    T* first_ = nullptr;   // by rank: c of inference, or r * h
    T* second_ = nullptr;  // by rank: z
};

// f(share) for each part of a share's rows, see row_blocks.
template <class F>
static inline void for_row_blocks(const Share& share, const Sweep& sweep, i64 row_bytes, F&& f) {
    const i64 blocks = row_blocks(share, sweep, row_bytes);
    for (i64 block = 0; block < blocks; ++block) {
        Share part = share;
        part.block = block;
        part.blocks = blocks;
        f(part);
    }
}

// The whole layer, each thread's part by `Part`: ForwardSweep, or VariantForward.
template <class T, class Part>
static void sweep_forward(const ForwardLayer<T>& layer) {
    const Layout<T> lay(layer.options);
    const i64 batch = layer.plan.batch;
    const Sweep sweep = forward_sweep(lay, batch, layer.plan.steps);
    const int threads = useful_threads(layer.threads, layer.directions, sweep);
    const std::size_t own = Part::workspace_size(lay, batch), shared = Part::shared_size(lay, batch);
    Workspace workspace;
    workspace.reserve(own * static_cast<std::size_t>(threads) + shared * 2);
    char* const shared_at = workspace.take<char>(static_cast<i64>(shared) * 2);
    char* const own_at = workspace.take<char>(static_cast<i64>(own) * threads);
    for (int d = 0; d < 2; ++d) __builtin_memset(shared_at + shared * d, 0, Workspace::size_of<T>(lay.Hp));
    Barrier barriers[2];
    in_threads(threads, [&](int thread, int count) {
        const Share share = share_of(thread, count, layer.directions, sweep);
        const i64 row_bytes = static_cast<i64>(sizeof(T)) * (lay.input_width() + lay.saved_width() + 3 * lay.Hp);
        for (int d = share.first_direction; d < share.last_direction; ++d) {
            for_row_blocks(share, sweep, row_bytes, [&](const Share& block) {
                Part(layer, layer.direction[d], block, barriers[d])
                    .run(own_at + own * static_cast<std::size_t>(thread), shared_at + shared * d);
            });
        }
    });
}

template <class T>
static void project(const Options& options, const T* packed, const T* x, i64 stride, i64 rows, T* out, int threads) {
    const Layout<T> lay(options);
    const i64 parts = ceil_div(rows, 256);
    in_threads(static_cast<int>(least(threads, parts)), [&](int thread, int count) {
        for (i64 part = parts * thread / count; part < parts * (thread + 1) / count; ++part) {
            const T* from[256];
            const i64 first = part * 256, n = least(256, rows - first);
            for (i64 i = 0; i < n; ++i) from[i] = x + (first + i) * stride;
            for (i64 p = 0; p < lay.panels(); ++p) project_panel(lay, packed, from, n, out + first * lay.input_width(), p);
        }
    });
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
