// The long products of the backward pass, over all tokens at once: d_x from d_gates, and the gradients of the parameters.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Threads for a product of so many multiplications: one where starting more costs as much.
static inline int threads_for(int threads, i64 parts, i64 products) {
    return products < 400000 ? 1 : static_cast<int>(least(threads, parts));
}

constexpr i64 kRows = 48;      // of a chunk towards x: its sums stay in the first cache beside a panel

// Where tokens are: each step's in the order of rank.
struct Tokens {
    const Plan& plan;
    i64 t = 0;
    // f(index, t, rank) for tokens [first, last), index from 0.
    template <class F>
    void each(i64 first, i64 last, F&& f) {
        while (plan.offset[t] > first) --t;
        while (plan.offset[t + 1] <= first) ++t;
        for (i64 token = first; token < last; ++token) {
            while (plan.offset[t + 1] <= token) ++t;
            f(token - first, t, token - plan.offset[t]);
        }
    }
};

// out (rows, width of panel p) += gates * panel, for one panel towards x. `out` rows are kBlocks * lanes apart.
template <class T>
static void back_project_panel(const Layout<T>& lay, const T* packed, const T** gates, i64 rows, T* out, i64 p) {
    constexpr int L = kLanes<T>;
    const i64 blocks = padded<T>(lay.I) / L, K = lay.input_width();
    with_constant<kBlocks>(static_cast<int>(least(kBlocks, blocks - kBlocks * p)), [&](auto vectors) {
        constexpr int NV = decltype(vectors)::value;
        const T* panel = packed + lay.back_input_at() + p * K * kBlocks * L;
        for (i64 k = 0; k < K; k += kChunkK) {
            const i64 length = least(kChunkK, K - k);
            for_tiles<NV>(rows, [&](auto tile, i64 first) {
                constexpr int R = decltype(tile)::value;
                Vec<T> acc[R][NV];
                const T* from[R];
                T* const sums = out + first * kBlocks * L;
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) {
                    from[r] = gates[first + r] + k;
#pragma GCC unroll 4
                    for (int j = 0; j < NV; ++j) acc[r][j] = load(sums + r * kBlocks * L + j * L);
                }
                product<T, R, NV>(from, length, panel + k * NV * L, acc);
#pragma GCC unroll 8
                for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
                    for (int j = 0; j < NV; ++j) store(sums + r * kBlocks * L + j * L, acc[r][j]);
                }
            });
        }
    });
}

// d_x of chunks of rows: gates(direction, row) gives a row of d_gates, x(row) where its d_x goes.
template <class T, class Gates, class Out>
static void back_project(const Layout<T>& lay, const T* const* packed, int directions, i64 rows, Gates&& gates, Out&& x) {
    constexpr i64 width = kBlocks * kLanes<T>;
    alignas(64) T sums[kRows * width];
    const T* from[2][kRows];
    for (int d = 0; d < directions; ++d) {
        for (i64 i = 0; i < rows; ++i) from[d][i] = gates(d, i);
    }
    for (i64 p = 0; p * width < lay.I; ++p) {
        __builtin_memset(sums, 0, static_cast<std::size_t>(rows * width) * sizeof(T));
        for (int d = 0; d < directions; ++d) back_project_panel(lay, packed[d], from[d], rows, sums, p);
        const i64 real = least(width, lay.I - p * width);
        for (i64 i = 0; i < rows; ++i) {
            __builtin_memcpy(x(i) + p * width, sums + i * width, static_cast<std::size_t>(real) * sizeof(T));
        }
    }
}

template <class T>
static void gradient_of_input(const BackwardLayer<T>& layer) {
    const Layout<T> lay(layer.options);
    const Plan& plan = layer.plan;
    const i64 tokens = plan.offset[plan.steps], parts = ceil_div(tokens, kRows);
    const T* packed[2] = {layer.direction[0].packed, layer.direction[1].packed};
    const int threads = threads_for(layer.threads, parts, tokens * lay.I * lay.input_width());
    in_threads(threads, [&](int thread, int count) {
        Tokens at{plan};
        for (i64 part = parts * thread / count; part < parts * (thread + 1) / count; ++part) {
            const i64 first = part * kRows, last = least(tokens, first + kRows);
            T* out[kRows];
            at.each(first, last, [&](i64 i, i64 t, i64 rank) { out[i] = layer.d_x.at(t, plan.order[rank]); });
            back_project(
                lay, packed, layer.directions, last - first,
                [&](int d, i64 i) { return layer.direction[d].d_gates + (first + i) * lay.gates_width(); },
                [&](i64 i) { return out[i]; });
        }
        for (i64 rank = thread; layer.d_x.has_padding() && rank < plan.batch; rank += count) {
            for (i64 t = plan.length[rank]; t < plan.steps; ++t) {
                __builtin_memset(layer.d_x.at(t, plan.order[rank]), 0, static_cast<std::size_t>(lay.I) * sizeof(T));
            }
        }
    });
}

// d_gates' columns summed over tokens, for the biases: a thread has some blocks of columns.
template <class T>
static void add_columns(const T* d_gates, i64 stride, i64 count, i64 first_block, i64 last_block, T* sums) {
    for (i64 block = first_block; block < last_block; ++block) {
        Vec<T> sum{};
        for (i64 i = 0; i < count; ++i) sum += load(d_gates + i * stride + block * kLanes<T>);
        store(sums + block * kLanes<T>, load(sums + block * kLanes<T>) + sum);
    }
}

// The parameters' gradients of one direction.
template <class T>
static void gradient_of_parameters(const BackwardLayer<T>& layer, const BackwardDirection<T>& d) {
    const Layout<T> lay(layer.options);
    const Plan& plan = layer.plan;
    const i64 tokens = plan.offset[plan.steps];
    const int hidden_slots = lay.reset_before() ? 2 : lay.hidden_slots;
    const int first_hidden = lay.reset_before() ? 1 : lay.first_hidden;
    const WeightProduct of_x{0, d.d_weights.weight_ih != nullptr ? lay.input_slots : 0, lay.I};
    const WeightProduct of_h{first_hidden, d.d_weights.weight_hh != nullptr ? hidden_slots : 0, lay.P,
                             lay.reset_before() ? 1 : lay.hidden_gate};
    const Layout<T> projection = lay.options.proj_size > 0 ? lay.projection() : lay;
    const WeightProduct of_output{0, d.d_weights.weight_hr != nullptr ? 1 : 0, lay.H};
    const WeightProduct of_reset_h{0, d.d_weights.weight_hh != nullptr && lay.reset_before() ? 1 : 0, lay.H};
    using Gradient = WeightGradient<T>;

    const bool masked = lay.options.recurrent_mask;

    const int threads = threads_for(layer.threads, lay.blocks, tokens * (lay.I + lay.H) * lay.Hp);
    const i64 sums_x = Gradient::sums_size(lay, of_x), sums_h = Gradient::sums_size(lay, of_h);
    const i64 sums_output = Gradient::sums_size(projection, of_output);
    const i64 sums_reset = Gradient::sums_size(lay, of_reset_h), width = lay.gates_width();
    // Both sides of a cell but GRU's and layer_norm's have the same gradients of sums: these are read once.
    const bool together = of_x.first_slot == of_h.first_slot && of_x.slots == of_h.slots;
    const i64 panels_x = Gradient::panels_size(lay.I), panels_h = Gradient::panels_size(lay.H);
    const i64 work_size = together ? panels_x + panels_h : most(panels_x, panels_h);
    Workspace workspace;
    workspace.reserve(Workspace::size_of<T>(sums_x) + Workspace::size_of<T>(sums_h) + Workspace::size_of<T>(sums_reset) +
                      Workspace::size_of<T>(sums_output) +
                      Workspace::size_of<T>(width) + Workspace::size_of<T>(lay.Hp) +
                      Workspace::size_of<T>(work_size * threads));
    T* const at_x = workspace.take<T>(sums_x);
    T* const at_h = workspace.take<T>(sums_h);
    T* const at_reset = workspace.take<T>(sums_reset);
    T* const at_output = workspace.take<T>(sums_output);
    T* const columns = workspace.take<T>(width);
    T* const zeros = workspace.take<T>(lay.Hp);
    T* const work_at = workspace.take<T>(work_size * threads);
    for (i64 u = 0; u < lay.Hp; ++u) zeros[u] = T(0);

    in_threads(threads, [&](int thread, int count) {
        const Gradient x(lay, of_x, thread, count), h(lay, of_h, thread, count), reset_h(lay, of_reset_h, thread, count);
        const Gradient output(projection, of_output, thread, count);
        T* const work = work_at + thread * work_size;
        x.clear(at_x), h.clear(at_h), reset_h.clear(at_reset), output.clear(at_output);
        // With layer_norm they are no sums of d_gates, and summed already.
        const bool biased = d.d_weights.bias_ih != nullptr || d.d_weights.bias_hh != nullptr;
        const i64 biases = biased && !lay.options.layer_norm ? lay.gates_slots * lay.blocks : 0;
        const i64 first_block = biases * thread / count, last_block = biases * (thread + 1) / count;
        for (i64 i = first_block * Gradient::L; i < last_block * Gradient::L; ++i) columns[i] = T(0);
        Tokens at{plan};
        const T* rows_of[2][5][kTokens];
        // Rows of the other factors, of the chunk that begins with token `first`; of how many.
        const auto find_rows = [&](i64 first, const T* (&rows)[5][kTokens]) {
            const i64 last = least(tokens, first + kTokens);
            at.each(first, last, [&](i64 i, i64 t, i64 k) {
                const i64 b = plan.order[k];
                const bool starts = d.reverse ? t == plan.length[k] - 1 : t == 0;
                rows[0][i] = layer.x.at(t, b);
                rows[1][i] = !starts ? d.y.at(d.reverse ? t + 1 : t - 1, b) : d.h_0.data != nullptr ? d.h_0.at(b) : zeros;
                const T* const saved = d.saved + (first + i) * lay.saved_width();
                if (masked) rows[4][i] = d.masks.recurrent.at(b);
                rows[2][i] = saved + 3 * lay.Hp;
                rows[3][i] = saved + lay.of_output * lay.Hp;
            });
            return last - first;
        };
        i64 n = find_rows(0, rows_of[0]);
        for (i64 first = 0, chunk = 0; first < tokens; ++chunk) {
            const auto& rows = rows_of[chunk % 2];
            const T* const d_gates = d.d_gates + first * width;
            const T* const* const masks = masked ? rows[4] : nullptr;
            const i64 after = first + n, next = after < tokens ? find_rows(after, rows_of[(chunk + 1) % 2]) : 0;
            NextRows<T> ahead;
            ahead.add(d_gates + n * width + x.first_column(), width, x.columns(), next);
            if (!together) ahead.add(d_gates + n * width + h.first_column(), width, h.columns(), next);
            ahead.add(rows_of[(chunk + 1) % 2][0], x.columns() > 0 ? lay.I : 0, next);
            ahead.add(rows_of[(chunk + 1) % 2][1], h.columns() > 0 ? lay.P : 0, next);
            if (together) {
                Gradient::add(d_gates, width, n, {{x, rows[0], at_x}, {h, rows[1], at_h, masks}}, ahead, work);
            } else {
                Gradient::add(d_gates, width, n, {{x, rows[0], at_x}}, ahead, work);
                Gradient::add(d_gates, width, n, {{h, rows[1], at_h, masks}}, ahead, work);
            }
            Gradient::add(d_gates, width, n, {{reset_h, rows[2], at_reset}}, ahead, work);
            Gradient::add(d_gates + lay.projected_at(), width, n, {{output, rows[3], at_output}}, ahead, work);
            add_columns(d_gates, width, n, first_block, last_block, columns);
            first = after, n = next;
        }
        x.write(at_x, d.d_weights.weight_ih);
        h.write(at_h, d.d_weights.weight_hh);
        reset_h.write(at_reset, d.d_weights.weight_hh);
        output.write(at_output, d.d_weights.weight_hr);
    });
    if (lay.options.layer_norm) return;

    const auto write_bias = [&](T* d_bias, int first_slot, int slots) {
        if (d_bias == nullptr) return;
        for (int s = first_slot; s < first_slot + slots; ++s) {
            for (i64 u = 0; u < lay.H; ++u) d_bias[lay.gate(s) * lay.H + u] = columns[s * lay.Hp + u];
        }
    };
    write_bias(d.d_weights.bias_ih, 0, lay.input_slots);
    write_bias(d.d_weights.bias_hh, lay.first_hidden, lay.hidden_slots);
}

template <class T>
static void backward(const BackwardLayer<T>& layer) {
    const Layout<T> lay(layer.options);
    const bool variant = lay.variant();
    // What is summed step by step; another workspace than that of the sweep, which it outlives.
    const i64 sums_size = variant ? VariantBackward<T>::sums_size(lay, layer.plan.batch) : 0;
    Workspace workspace;
    if (sums_size > 0) workspace.reserve(Workspace::size_of<T>(sums_size * layer.directions));
    T* const sums = sums_size > 0 ? workspace.take<T>(sums_size * layer.directions) : nullptr;
    if (variant) {
        sweep_back<T, VariantBackward<T>>(layer, [&](VariantBackward<T>& part, int d, char* own, char* shared) {
            part.run(own, shared, sums + d * sums_size);
        });
    } else {
        sweep_back<T, BackwardSweep<T>>(
            layer, [](BackwardSweep<T>& part, int, char* own, char* shared) { part.run(own, shared); });
    }
    if (layer.d_x.data != nullptr) gradient_of_input(layer);
    for (int d = 0; d < layer.directions; ++d) {
        const BackwardDirection<T>& direction = layer.direction[d];
        const Weights<T>& w = direction.d_weights;
        if (w.weight_ih != nullptr || w.weight_hh != nullptr || w.bias_ih != nullptr || w.bias_hh != nullptr ||
            w.weight_hr != nullptr) {
            gradient_of_parameters(layer, direction);
        }
        if (variant) gradient_of_vectors(layer, direction, sums + d * sums_size);
    }
}

// Gradients of `project`.
template <class T>
static void project_backward(const Options& options, const T* packed, const T* x, i64 stride, i64 rows, const T* d_projected,
                             T* d_x, T* d_weight_ih, int threads) {
    const Layout<T> lay(options);
    const i64 width = lay.input_width(), parts = ceil_div(rows, kRows);
    if (d_x != nullptr) {
        in_threads(static_cast<int>(least(threads, parts)), [&](int thread, int count) {
            for (i64 part = parts * thread / count; part < parts * (thread + 1) / count; ++part) {
                const i64 first = part * kRows;
                back_project(
                    lay, &packed, 1, least(kRows, rows - first),
                    [&](int, i64 i) { return d_projected + (first + i) * width; },
                    [&](i64 i) { return d_x + (first + i) * lay.I; });
            }
        });
    }
    if (d_weight_ih == nullptr) return;
    const WeightProduct of_x{0, lay.input_slots, lay.I};
    using Gradient = WeightGradient<T>;
    const int members = static_cast<int>(least(threads, lay.blocks));
    const i64 size = Gradient::sums_size(lay, of_x);
    Workspace workspace;
    const i64 work_size = Gradient::panels_size(lay.I);
    workspace.reserve(Workspace::size_of<T>(size) + Workspace::size_of<T>(work_size * members));
    T* const sums = workspace.take<T>(size);
    T* const work = workspace.take<T>(work_size * members);
    in_threads(members, [&](int thread, int count) {
        const Gradient gradient(lay, of_x, thread, count);
        gradient.clear(sums);
        for (i64 first = 0; first < rows; first += kTokens) {
            const T* from[kTokens];
            const i64 n = least(kTokens, rows - first), next = least(kTokens, rows - first - n);
            for (i64 i = 0; i < n; ++i) from[i] = x + (first + i) * stride;
            const T* const d_rows = d_projected + first * width;
            NextRows<T> ahead;
            ahead.add(d_rows + n * width + gradient.first_column(), width, gradient.columns(), next);
            ahead.add(x + (first + n) * stride, stride, lay.I, next);
            Gradient::add(d_rows, width, n, {{gradient, from, sums}}, ahead, work + thread * work_size);
        }
        gradient.write(sums, d_weight_ih);
    });
}

template <class T>
static void scatter(const T* values, i64 stride, const std::int32_t* ids, i64 count, i64 width, i64 rows, T* out, int threads) {
    constexpr int L = kLanes<T>;  // a row of d_gates is whole vectors
    // Tokens in the order of their rows, those of a row in their own: each row is summed while it is near and written once.
    Workspace workspace;
    workspace.reserve(Workspace::size_of<i64>(rows + 1) + Workspace::size_of<i64>(count));
    i64* const begin = workspace.take<i64>(rows + 1);
    i64* const tokens = workspace.take<i64>(count);
    for (i64 row = 0; row <= rows; ++row) begin[row] = 0;
    for (i64 i = 0; i < count; ++i) ++begin[ids[i]];
    for (i64 row = 1; row <= rows; ++row) begin[row] += begin[row - 1];  // so far where each ends
    for (i64 i = count; i-- > 0;) tokens[--begin[ids[i]]] = i;
    in_threads(static_cast<int>(least(threads, rows)), [&](int thread, int parts) {
        // Rows of about as many tokens: a row costs its writing, too.
        const auto row_at = [&](i64 share) {
            i64 low = 0, high = rows;
            while (low < high) {
                const i64 middle = (low + high) / 2;
                if (begin[middle] + middle < share) low = middle + 1;
                else high = middle;
            }
            return low;
        };
        const i64 last_row = row_at((count + rows) * (thread + 1) / parts);
        for (i64 row = row_at((count + rows) * thread / parts); row < last_row; ++row) {
            T* const to = out + row * width;
            for (i64 c = 0; c < width; c += L) store(to + c, Vec<T>{});
            for (i64 i = begin[row]; i < begin[row + 1]; ++i) {
                constexpr i64 kAhead = 3, kLine = 64 / static_cast<i64>(sizeof(T));
                const T* const from = values + tokens[i] * stride;
                const T* const later = values + tokens[least(count - 1, i + kAhead)] * stride;
                for (i64 c = 0; c < width; c += kLine) __builtin_prefetch(later + c);
                for (i64 c = 0; c < width; c += L) store(to + c, load(to + c) + load(from + c));
            }
        }
    });
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
