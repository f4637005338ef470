#include "run.h"

#include <algorithm>
#include <numeric>

namespace throughtime::tests {
namespace {

i64 gates(const Options& o) {
    constexpr i64 count[] = {1, 3, 4, 2, 3, 1};
    return count[static_cast<int>(o.cell)] - (o.coupled_gates ? 1 : 0);
}

i64 features(const Options& o) { return o.proj_size > 0 ? o.proj_size : o.hidden_size; }

template <class T>
Block<T> block(const std::vector<double>& values) {
    Block<T> made(static_cast<i64>(values.size()));
    for (i64 i = 0; i < made.size; ++i) made[i] = static_cast<T>(values[static_cast<std::size_t>(i)]);
    return made;
}

template <class T>
std::vector<double> numbers(const Block<T>& from) {
    std::vector<double> out;
    for (i64 i = 0; i < from.size; ++i) out.push_back(static_cast<double>(from[i]));
    return out;
}

template <class T>
Rows<T> rows(T* data, int direction, const Case& c, i64 size) {
    return {data == nullptr ? nullptr : data + direction * static_cast<i64>(c.lengths.size()) * size, size};
}

// The parameters of a direction, or their gradients, among the blocks of a case's arguments.
template <class E, class T>
Weights<E> weights(const std::vector<Block<T>>& blocks, int direction) {
    const Block<T>* const at = blocks.data() + 3 + kKindsOfParameters * direction;
    return {at[0].get(), at[1].get(), at[2].get(), at[3].get(), at[4].get(),
            at[5].get(), at[6].get(), at[7].get(), at[8].get(), at[9].get()};
}

// Steps of `width` features as they lie in a case, between padded numbers and the core.
template <class T>
class Steps {
public:
    Steps(const Batch& batch, Lie lie, i64 width) : batch_(batch), lie_(lie), width_(width), starts_(batch.starts(lie)) {
        for (i64& start : starts_) start *= width;
    }

    i64 size() const { return (lie_ == Lie::padded ? batch_.steps() * batch_.size() : batch_.tokens()) * width_; }

    template <class E>
    Sequences<E> at(E* data) const {
        switch (lie_) {
            case Lie::padded: return {data, batch_.size() * width_, width_, nullptr, nullptr};
            case Lie::end_to_end: return {data, width_, 0, starts_.data(), nullptr};
            case Lie::by_step: return {data, 0, width_, nullptr, starts_.data()};
        }
        return {};
    }

    Block<T> laid(const std::vector<double>& padded) const {
        if (lie_ == Lie::padded) return block<T>(padded);
        Block<T> made(size());
        each([&](i64 from, i64 t, i64 b) {
            for (i64 f = 0; f < width_; ++f) at(made.get()).at(t, b)[f] = static_cast<T>(padded[static_cast<std::size_t>(from + f)]);
        });
        return made;
    }

    std::vector<double> padded(const Block<T>& from) const {
        if (lie_ == Lie::padded) return numbers(from);
        std::vector<double> out(static_cast<std::size_t>(batch_.steps() * batch_.size() * width_));
        each([&](i64 to, i64 t, i64 b) {
            for (i64 f = 0; f < width_; ++f) out[static_cast<std::size_t>(to + f)] = static_cast<double>(at(from.get()).at(t, b)[f]);
        });
        return out;
    }

private:
    template <class F>
    void each(F&& f) const {
        for (i64 t = 0; t < batch_.steps(); ++t) {
            for (i64 b = 0; b < batch_.size(); ++b) {
                if (t < batch_.length(b)) f((t * batch_.size() + b) * width_, t, b);
            }
        }
    }

    const Batch& batch_;
    Lie lie_;
    i64 width_;
    std::vector<i64> starts_;
};

template <class T>
Sequences<T> moved(Sequences<T> steps, i64 features) {
    steps.data += features;
    return steps;
}

// The products of each token's input, in a table whose last row is the first token's: token i has row tokens - 1 - i.
template <class T>
Block<T> table_of(const Kernels<T>& kernels, const Options& o, const Plan& plan, const Sequences<const T>& x, const T* packed, int threads) {
    const i64 tokens = plan.offset[plan.steps], I = o.input_size;
    const Block<T> rows(tokens * I);
    for (i64 t = 0; t < plan.steps; ++t) {
        for (i64 k = 0; k < plan.active[t]; ++k) {
            std::copy_n(x.at(t, plan.order[k]), I, rows.get() + (tokens - 1 - plan.offset[t] - k) * I);
        }
    }
    Block<T> table(tokens * kernels.sizes(o).input_width);
    kernels.project(o, packed, rows.get(), I, tokens, table.get(), threads);
    return table;
}

}  // namespace

std::vector<i64> Batch::starts(Lie lie) const {
    if (lie == Lie::by_step) return {offset_.begin(), offset_.end() - 1};
    std::vector<i64> out;
    i64 at = 0;
    for (i64 n : lengths_) {
        out.push_back(at);
        at += n;
    }
    return out;
}

Batch::Batch(std::vector<i64> lengths) : lengths_(std::move(lengths)), order_(lengths_.size()) {
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](i64 a, i64 b) { return length(a) > length(b); });
    for (i64 b : order_) sorted_.push_back(length(b));
    steps_ = sorted_.front();
    offset_.push_back(0);
    for (i64 t = 0; t < steps_; ++t) {
        active_.push_back(std::count_if(sorted_.begin(), sorted_.end(), [&](i64 n) { return n > t; }));
        offset_.push_back(offset_.back() + active_.back());
    }
}

Arguments::Arguments(const Case& c, unsigned seed) {
    std::mt19937 engine(seed);
    const auto draw = [&](i64 count, double scale) {
        std::vector<double> out;
        for (i64 i = 0; i < count; ++i) {
            // By hand, and in float's numbers: the same on every machine, for every element type.
            out.push_back(static_cast<float>(scale * (static_cast<double>(engine()) / 2147483648.0 - 1.0)));
        }
        return out;
    };
    const Batch batch(c.lengths);
    const Options& o = c.options;
    const i64 I = o.input_size, H = o.hidden_size, G = gates(o) * H, P = features(o);
    const bool lstm = o.cell == Cell::lstm, matrix = o.cell <= Cell::lstm;
    const i64 state = c.directions * batch.size() * P, cell = lstm ? c.directions * batch.size() * H : 0;
    const double scale = 1.0 / std::sqrt(static_cast<double>(H));
    values = {draw(batch.steps() * batch.size() * I, 1.0), draw(c.states ? state : 0, 1.0), draw(c.states ? cell : 0, 1.0)};
    for (int d = 0; d < c.directions; ++d) {
        values.push_back(draw(G * I, 1.0 / std::sqrt(static_cast<double>(I))));
        values.push_back(draw(matrix ? G * P : o.cell == Cell::ind_rnn ? H : 0, matrix ? scale : 1.0));
        values.push_back(draw(c.biases ? G : 0, 1.0));
        values.push_back(draw(c.biases && matrix ? G : 0, 1.0));
        values.push_back(draw(o.proj_size * H, scale));
        values.push_back(draw(o.peephole ? (o.coupled_gates ? 2 : 3) * H : 0, 1.0));
        values.push_back(draw(o.layer_norm ? G : 0, 1.0));
        values.push_back(draw(o.layer_norm ? G : 0, 1.0));
        values.push_back(draw(o.layer_norm && lstm ? H : 0, 1.0));
        values.push_back(draw(o.layer_norm && lstm && c.biases ? H : 0, 1.0));
    }
    u_y = draw(batch.steps() * batch.size() * c.directions * P, 1.0);
    u_h_n = draw(state, 1.0);
    u_c_n = draw(cell, 1.0);
    const auto choose = [&](i64 count, double value) {
        std::vector<double> out = draw(count, 1.0);
        for (double& v : out) v = v > 0.3 ? value : 0.0;
        return out;
    };
    const i64 steps = batch.steps() * batch.size();
    for (int d = 0; d < c.directions; ++d) {
        masks.push_back(choose(o.zoneout_masks && o.zoneout_h > 0 ? steps * P : 0, 1.0));
        masks.push_back(choose(o.zoneout_masks && o.zoneout_c > 0 ? steps * H : 0, 1.0));
        masks.push_back(choose(o.recurrent_mask ? batch.size() * P : 0, 1.5));
    }
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (i64 t = 0; t < batch.steps(); ++t) {
        for (i64 b = 0; b < batch.size(); ++b) {
            if (t < batch.length(b)) continue;  // padding: never read
            const i64 at = t * batch.size() + b, width = c.directions * P;
            std::fill_n(values[0].begin() + at * I, I, nan);
            std::fill_n(u_y.begin() + at * width, width, nan);
        }
    }
}

template <class T>
Results run(const Kernels<T>& kernels, const Case& c, const Arguments& given, bool backward) {
    const Batch batch(c.lengths);
    const Options& o = c.options;
    const Sizes sizes = kernels.sizes(o);
    const i64 I = o.input_size, H = o.hidden_size, P = features(o), D = c.directions, B = batch.size();
    std::vector<Block<T>> in;
    const Steps<T> of_x(batch, c.lie, I), of_y(batch, c.lie, D * P);
    const Steps<std::uint8_t> of_h(batch, c.lie, P), of_c(batch, c.lie, H);
    in.push_back(of_x.laid(given.values[0]));
    for (std::size_t i = 1; i < given.values.size(); ++i) in.push_back(block<T>(given.values[i]));
    const Block<T> y(of_y.size()), h_n(D * B * P), c_n(o.cell == Cell::lstm ? D * B * H : 0);
    std::vector<Block<T>> packed, packed_back, saved, d_gates, recurrent, tables;
    std::vector<Block<std::uint8_t>> zoneout;
    ForwardLayer<T> forward{};
    forward.options = o;
    forward.plan = batch.plan();
    forward.x = of_x.at(static_cast<const T*>(in[0].get()));
    forward.directions = c.directions;
    forward.threads = c.threads;
    for (int d = 0; d < c.directions; ++d) {
        const Weights<const T> w = weights<const T>(in, d);
        packed.emplace_back(sizes.packed_forward);
        kernels.pack(o, w, false, packed.back().get());
        packed_back.emplace_back(sizes.packed_backward);
        kernels.pack(o, w, true, packed_back.back().get());
        saved.emplace_back(backward ? batch.tokens() * sizes.saved_width : 0);
        d_gates.emplace_back(batch.tokens() * sizes.gates_width);
    }
    for (int d = 0; d < c.directions; ++d) {
        zoneout.push_back(given.masks[3 * d].empty() ? Block<std::uint8_t>(0) : of_h.laid(given.masks[3 * d]));
        zoneout.push_back(given.masks[3 * d + 1].empty() ? Block<std::uint8_t>(0) : of_c.laid(given.masks[3 * d + 1]));
        recurrent.push_back(block<T>(given.masks[3 * d + 2]));
        const Masks<T> masks{of_h.at(static_cast<const std::uint8_t*>(zoneout[2 * d].get())),
                             of_c.at(static_cast<const std::uint8_t*>(zoneout[2 * d + 1].get())), {recurrent[d].get(), P}};
        forward.direction[d] = {d == 1, packed[d].get(), nullptr, nullptr, rows<const T>(in[1].get(), d, c, P),
                                rows<const T>(in[2].get(), d, c, H), moved(of_y.at(y.get()), d * P), rows<T>(h_n.get(), d, c, P),
                                rows<T>(c_n.get(), d, c, H), saved[d].get(), masks};
    }
    std::vector<std::int32_t> ids;
    if (c.by_rows) {
        for (i64 token = batch.tokens(); token-- > 0;) ids.push_back(static_cast<std::int32_t>(token));
        for (int d = 0; d < c.directions; ++d) {
            tables.push_back(table_of(kernels, o, forward.plan, forward.x, packed[d].get(), c.threads));
            forward.direction[d].projected = tables[d].get();
            forward.direction[d].ids = ids.data();
        }
        forward.x = {};
    }
    kernels.forward(forward);
    Results out{{of_y.padded(y), numbers(h_n), numbers(c_n)}, {}};
    if (!backward) return out;

    const Block<T> u_y = of_y.laid(given.u_y), u_h_n = block<T>(given.u_h_n), u_c_n = block<T>(given.u_c_n);
    std::vector<Block<T>> d_in;
    for (const Block<T>& block : in) d_in.emplace_back(block.size);
    BackwardLayer<T> back{};
    back.options = o;
    back.plan = batch.plan();
    back.x = of_x.at(static_cast<const T*>(in[0].get()));
    back.d_x = of_x.at(d_in[0].get());
    back.directions = c.directions;
    back.threads = c.threads;
    for (int d = 0; d < c.directions; ++d) {
        back.direction[d] = {d == 1, packed_back[d].get(), forward.direction[d].h_0, forward.direction[d].c_0,
                             moved(of_y.at(static_cast<const T*>(y.get())), d * P),
                             moved(of_y.at(static_cast<const T*>(u_y.get())), d * P),
                             rows<const T>(u_h_n.get(), d, c, P), rows<const T>(u_c_n.get(), d, c, H), saved[d].get(),
                             d_gates[d].get(), weights<T>(d_in, d), rows<T>(d_in[1].get(), d, c, P),
                             rows<T>(d_in[2].get(), d, c, H), forward.direction[d].masks};
    }
    kernels.backward(back);
    out.gradients.push_back(of_x.padded(d_in[0]));
    for (std::size_t i = 1; i < d_in.size(); ++i) out.gradients.push_back(numbers(d_in[i]));
    return out;
}

template Results run<float>(const Kernels<float>&, const Case&, const Arguments&, bool);
template Results run<double>(const Kernels<double>&, const Case&, const Arguments&, bool);

}  // namespace throughtime::tests
