// One layer's kernels behind the Python module, with their arguments checked.
#pragma once

#include "parameters.h"
#include "plan.h"

namespace throughtime {

// The set of this name, or the machine's best.
const InstructionSet& choose(const optional<std::string>& name);

// An array of a batch's steps: padded (seq_len, batch, features), or (tokens, features) as the plan says.
template <class T, class Array>
auto sequences(const char* name, const char* features, const Array& array, const BatchPlan& plan, i64 size) {
    const Plan& p = plan.plan();
    if (array.ndim() == 2) {
        const std::string what = std::string("(tokens, ") + features + ")";
        auto* data = checked<T>(name, what.c_str(), array, {plan.tokens(), size}, true);
        using S = Sequences<std::remove_pointer_t<decltype(data)>>;
        return plan.by_step() ? S{data, 0, size, nullptr, plan.starts(size)} : S{data, size, 0, plan.starts(size), nullptr};
    }
    const std::string what = std::string("(seq_len, batch, ") + features + ")";
    auto* data = checked<T>(name, what.c_str(), array, {p.steps, p.batch, size});
    return Sequences<std::remove_pointer_t<decltype(data)>>{data, array.stride(0), array.stride(1), nullptr, nullptr};
}

inline int check_threads(int threads) {
    if (threads >= 1 && threads <= kMostThreads) return threads;
    throw OptionProblem("threads must be in 1.." + std::to_string(kMostThreads) + ", but is " + std::to_string(threads));
}

template <class T>
Sequences<T> direction_of(Sequences<T> both, i64 offset) {
    both.data += offset;
    return both;
}

// Of each direction, in the order of `Masks`.
using Masking = vector<vector<optional<Input>>>;

// One layer's mathematics on one instruction set, for one element type.
template <class T>
class Layer {
public:
    Layer(int cell, int nonlinearity, bool reset_after, i64 input_size, i64 hidden_size, int directions,
          const optional<std::string>& isa, bool layer_norm, double zoneout_h, double zoneout_c, bool zoneout_masks,
          bool recurrent_mask, bool peephole, bool coupled_gates, i64 proj_size)
        : directions_(directions) {
        if (cell < 0 || cell > 5) throw OptionProblem("cell must be in 0..5, but is " + std::to_string(cell));
        if (nonlinearity < 0 || nonlinearity > 3) {
            throw OptionProblem("nonlinearity must be in 0..3, but is " + std::to_string(nonlinearity));
        }
        if (input_size < 1 || hidden_size < 1) {
            throw OptionProblem("input_size and hidden_size must be at least 1, but are " + std::to_string(input_size) +
                                " and " + std::to_string(hidden_size));
        }
        if (input_size > kLargest || hidden_size > kLargest) {
            throw OptionProblem("input_size and hidden_size must be at most " + std::to_string(kLargest) + ", but are " +
                                std::to_string(input_size) + " and " + std::to_string(hidden_size));
        }
        if (directions != 1 && directions != 2) {
            throw OptionProblem("directions must be 1 or 2, but is " + std::to_string(directions));
        }
        options_ = {static_cast<Cell>(cell), static_cast<Nonlinearity>(nonlinearity), reset_after, input_size, hidden_size,
                    layer_norm, zoneout_h, zoneout_c, zoneout_masks, recurrent_mask, peephole, coupled_gates, proj_size};
        check_variant();
        const InstructionSet& set = choose(isa);
        if constexpr (std::is_same_v<T, float>) kernels_ = set.float32;
        else kernels_ = set.float64;
        isa_ = set.name;
        sizes_ = kernels_->sizes(options_);
    }

    const std::string& isa() const { return isa_; }
    const Options& options() const { return options_; }
    const Kernels<T>& kernels() const { return *kernels_; }
    int directions() const { return directions_; }
    const Sizes& sizes() const { return sizes_; }

    // weights: see `parameters`.
    void pack(const vector<optional<Input>>& weights, bool backward, const Output& packed) const {
        const Weights<const T> from = parameters<T>("", options_, weights, true);
        T* const to = checked<T>("packed", "(size of the packed weights)", packed, {packed_size(backward)});
        nb::gil_scoped_release release;
        kernels_->pack(options_, from, backward, to);
    }

    void forward(const BatchPlan& plan, const optional<Input>& x, const vector<Input>& packed, const optional<Input>& h_0,
                 const optional<Input>& c_0, const Output& y, const Output& h_n, const optional<Output>& c_n,
                 const vector<Output>& saved, const vector<Input>& projected, const optional<Input>& ids, int threads,
                 const Masking& masks) const {
        ForwardLayer<T> layer{};
        layer.options = options_;
        layer.plan = plan.plan();
        layer.directions = directions_;
        layer.threads = check_threads(threads);
        count("packed", packed.size(), directions_);
        if (!saved.empty()) count("saved", saved.size(), directions_);
        const bool by_ids = !projected.empty();
        if (by_ids != ids.has_value() || by_ids == x.has_value()) {
            throw OptionProblem("forward takes either x, or projected and ids");
        }
        if (by_ids) count("projected", projected.size(), directions_);
        const i64 B = layer.plan.batch, P = features_of(options_);
        if (x) layer.x = sequences<T>("input", "input_size", *x, plan, options_.input_size);
        const std::int32_t* id = nullptr;
        if (ids) id = checked_ids(*ids, plan.tokens(), projected);
        const Sequences<T> to_y = sequences<T>("output", "directions * features of h", y, plan, directions_ * P);
        const Rows<const T> from_h = states("h_0", h_0, B, P), from_c = states("c_0", c_0, B);
        const Rows<T> to_h = states("h_n", optional<Output>(h_n), B, P), to_c = states("c_n", c_n, B);
        if (options_.cell == Cell::lstm && !c_n) throw OptionProblem("c_n must be given for an LSTM");
        for (int d = 0; d < directions_; ++d) {
            ForwardDirection<T>& direction = layer.direction[d];
            const auto i = static_cast<std::size_t>(d);
            direction.reverse = d == 1;
            direction.packed = checked<T>("packed", "(size of the packed weights)", packed[i], {sizes_.packed_forward});
            direction.projected = by_ids ? static_cast<const T*>(projected[i].data()) : nullptr;
            direction.ids = id;
            direction.h_0 = at(from_h, d, B);
            direction.c_0 = at(from_c, d, B);
            direction.y = direction_of(to_y, d * P);
            direction.h_n = at(to_h, d, B);
            direction.c_n = at(to_c, d, B);
            direction.saved = saved.empty() || sizes_.saved_width == 0
                                  ? nullptr
                                  : checked<T>("saved", "(tokens, saved_width)", saved[i], {plan.tokens(), sizes_.saved_width}, true);
            direction.masks = masks_of(masks, d, plan);
        }
        nb::gil_scoped_release release;
        kernels_->forward(layer);
    }

    void backward(const BatchPlan& plan, const optional<Input>& x, const vector<Input>& packed, const optional<Input>& h_0,
                  const optional<Input>& c_0, const Input& y, const vector<Input>& saved, const Input& d_y,
                  const optional<Input>& d_h_n, const optional<Input>& d_c_n, const vector<Output>& d_gates,
                  const optional<Output>& d_x, const optional<Output>& d_h_0, const optional<Output>& d_c_0,
                  const vector<vector<optional<Output>>>& d_weights, int threads, const Masking& masks) const {
        BackwardLayer<T> layer{};
        layer.options = options_;
        layer.plan = plan.plan();
        layer.directions = directions_;
        layer.threads = check_threads(threads);
        count("packed", packed.size(), directions_);
        count("saved", saved.size(), sizes_.saved_width == 0 ? 0 : directions_);
        count("d_gates", d_gates.size(), directions_);
        count("d_weights", d_weights.size(), directions_);
        const i64 B = layer.plan.batch, P = features_of(options_), I = options_.input_size;
        if (x) layer.x = sequences<T>("input", "input_size", *x, plan, I);
        if (d_x) layer.d_x = sequences<T>("d_input", "input_size", *d_x, plan, I);
        const Sequences<const T> at_y = sequences<T>("output", "directions * features of h", y, plan, directions_ * P);
        const Sequences<const T> at_d_y = sequences<T>("d_output", "directions * features of h", d_y, plan, directions_ * P);
        const Rows<const T> from_h = states("h_0", h_0, B, P), from_c = states("c_0", c_0, B);
        const Rows<const T> up_h = states("d_h_n", d_h_n, B, P), up_c = states("d_c_n", d_c_n, B);
        const Rows<T> to_h = states("d_h_0", d_h_0, B, P), to_c = states("d_c_0", d_c_0, B);
        for (int d = 0; d < directions_; ++d) {
            BackwardDirection<T>& direction = layer.direction[d];
            const auto i = static_cast<std::size_t>(d);
            direction.reverse = d == 1;
            direction.packed = checked<T>("packed", "(size of the packed weights)", packed[i], {sizes_.packed_backward});
            direction.h_0 = at(from_h, d, B);
            direction.c_0 = at(from_c, d, B);
            direction.y = direction_of(at_y, d * P);
            direction.d_y = direction_of(at_d_y, d * P);
            direction.d_h_n = at(up_h, d, B);
            direction.d_c_n = at(up_c, d, B);
            direction.saved = sizes_.saved_width == 0
                                  ? nullptr
                                  : checked<T>("saved", "(tokens, saved_width)", saved[i], {plan.tokens(), sizes_.saved_width}, true);
            direction.d_gates =
                checked<T>("d_gates", "(tokens, gates_width)", d_gates[i], {plan.tokens(), sizes_.gates_width}, true);
            direction.d_weights = parameters<T>("d_", options_, d_weights[i], false);
            direction.masks = masks_of(masks, d, plan);
            direction.d_h_0 = at(to_h, d, B);
            direction.d_c_0 = at(to_c, d, B);
            if (direction.d_weights.weight_ih != nullptr && !x) throw OptionProblem("d_weight_ih needs input");
        }
        nb::gil_scoped_release release;
        kernels_->backward(layer);
    }

    void project(const Input& packed, const Input& x, const Output& out, int threads) const {
        const i64 rows = check_rows(x);
        const T* const weights = checked<T>("packed", "(size of the packed weights)", packed, {sizes_.packed_forward});
        const T* const from = checked<T>("x", "(rows, input_size)", x, {rows, options_.input_size});
        T* const to = checked<T>("projected", "(rows, input_width)", out, {rows, sizes_.input_width}, true);
        nb::gil_scoped_release release;
        kernels_->project(options_, weights, from, x.stride(0), rows, to, check_threads(threads));
    }

    void project_backward(const Input& packed, const Input& x, const Input& d_projected, const optional<Output>& d_x,
                          const optional<Output>& d_weight_ih, int threads) const {
        const i64 rows = check_rows(x), I = options_.input_size;
        const T* const weights = checked<T>("packed", "(size of the packed weights)", packed, {sizes_.packed_backward});
        const T* const from = checked<T>("x", "(rows, input_size)", x, {rows, I});
        const T* const d = checked<T>("d_projected", "(rows, input_width)", d_projected, {rows, sizes_.input_width}, true);
        T* const to_x = d_x ? checked<T>("d_x", "(rows, input_size)", *d_x, {rows, I}, true) : nullptr;
        T* const to_w = d_weight_ih ? checked<T>("d_weight_ih", "(gates * hidden_size, input_size)", *d_weight_ih,
                                                 {gates_of(options_) * options_.hidden_size, I}, true)
                                    : nullptr;
        nb::gil_scoped_release release;
        kernels_->project_backward(options_, weights, from, x.stride(0), rows, d, to_x, to_w, check_threads(threads));
    }

    // d_projected (rows, input_width) from d_gates (tokens, gates_width) and the row of each token.
    void scatter(const BatchPlan& plan, const Input& d_gates, const Input& ids, const Output& d_projected, int threads) const {
        const i64 rows = d_projected.ndim() == 2 ? static_cast<i64>(d_projected.shape(0)) : 0;
        T* const to = checked<T>("d_projected", "(rows, input_width)", d_projected, {rows, sizes_.input_width}, true);
        const T* const from = checked<T>("d_gates", "(tokens, gates_width)", d_gates, {plan.tokens(), sizes_.gates_width}, true);
        const std::int32_t* const id = checked<std::int32_t>("ids", "(tokens)", ids, {plan.tokens()});
        check_range(id, plan.tokens(), rows);
        nb::gil_scoped_release release;
        kernels_->scatter(from, sizes_.gates_width, id, plan.tokens(), sizes_.input_width, rows, to, check_threads(threads));
    }

    std::uint64_t fingerprint(const vector<Input>& arrays) const {
        std::uint64_t result = 0;
        for (const Input& array : arrays) {
            check_dtype("array", array.dtype(), nb::dtype<T>());
            i64 expected = 1;
            for (std::size_t i = array.ndim(); i-- > 0; expected *= array.shape(i)) {
                if (array.shape(i) > 1 && array.stride(i) != expected) throw ShapeProblem("arrays must be contiguous");
            }
            check_memory("array", array.data(), array.size());
            result = kernels_->fingerprint(result, static_cast<const T*>(array.data()), static_cast<i64>(array.size()));
        }
        return result;
    }

    void activation(int function, const Input& in, const Output& out) const {
        const i64 n = in.ndim() == 1 ? static_cast<i64>(in.shape(0)) : 0;
        const T* const from = checked<T>("x", "(n)", in, {n});
        T* const to = checked<T>("out", "(n)", out, {n});
        if (function < 0 || function > 2) throw OptionProblem("function must be 0, 1 or 2");
        kernels_->activation(function, from, to, n);
    }

private:
    void check_variant() const {
        const Options& o = options_;
        const bool share = o.zoneout_h >= 0 && o.zoneout_h < 1 && o.zoneout_c >= 0 && o.zoneout_c < 1;
        if (!share) throw OptionProblem("zoneout must be shares in 0 <= p < 1");
        const bool matrix = o.cell <= Cell::lstm, lstm = o.cell == Cell::lstm;
        if ((o.layer_norm || o.recurrent_mask) && !matrix) throw OptionProblem("the cell has no layer_norm and no recurrent mask");
        if ((o.peephole || o.coupled_gates || o.proj_size != 0 || o.zoneout_c > 0) && !lstm) {
            throw OptionProblem("peephole, coupled_gates, proj_size and zoneout of c are options of the LSTM");
        }
        if (o.proj_size < 0 || o.proj_size >= o.hidden_size) {
            throw OptionProblem("proj_size must be 0 or smaller than hidden_size, but is " + std::to_string(o.proj_size));
        }
        if (o.cell == Cell::gru && !o.reset_after && (o.layer_norm || o.recurrent_mask || o.zoneout_h > 0)) {
            throw OptionProblem("a GRU with reset_after=False has no variants here");
        }
    }

    // Of each direction: zoneout_h, zoneout_c, recurrent; or nothing at all.
    Masks<T> masks_of(const Masking& given, int d, const BatchPlan& plan) const {
        const bool of_h = options_.zoneout_masks && options_.zoneout_h > 0, of_c = options_.zoneout_masks && options_.zoneout_c > 0;
        if (given.empty() && !of_h && !of_c && !options_.recurrent_mask) return {};
        count("masks", given.size(), directions_);
        const vector<optional<Input>>& own = given[static_cast<std::size_t>(d)];
        count("masks of a direction", own.size(), 3);
        const auto check = [](const char* name, bool has, bool wants) {
            if (has != wants) throw OptionProblem(std::string(name) + (wants ? " must be given" : " must be None"));
        };
        check("zoneout_h", own[0].has_value(), of_h);
        check("zoneout_c", own[1].has_value(), of_c);
        check("recurrent", own[2].has_value(), options_.recurrent_mask);
        const i64 P = features_of(options_), B = plan.plan().batch;
        Masks<T> masks{};
        if (of_h) masks.zoneout_h = sequences<std::uint8_t>("zoneout_h", "features of h", *own[0], plan, P);
        if (of_c) masks.zoneout_c = sequences<std::uint8_t>("zoneout_c", "hidden_size", *own[1], plan, options_.hidden_size);
        if (own[2]) masks.recurrent = {checked<T>("recurrent", "(batch, features of h)", *own[2], {B, P}, true), P};
        return masks;
    }

    i64 packed_size(bool backward) const { return backward ? sizes_.packed_backward : sizes_.packed_forward; }

    static void count(const char* name, std::size_t found, int wanted) {
        if (static_cast<int>(found) == wanted) return;
        throw ShapeProblem(std::string(name) + " must hold " + std::to_string(wanted) + " entries, but holds " +
                           std::to_string(found));
    }

    static i64 check_rows(const Input& x) {
        if (x.ndim() != 2 || x.shape(0) == 0) throw ShapeProblem("x must have 2 axes, (rows, input_size), and a row");
        return static_cast<i64>(x.shape(0));
    }

    static void check_range(const std::int32_t* ids, i64 count, i64 rows) {
        for (i64 i = 0; i < count; ++i) {
            if (ids[i] >= 0 && ids[i] < rows) continue;
            throw ShapeProblem("ids must be in 0.." + std::to_string(rows - 1) + ", but one is " + std::to_string(ids[i]));
        }
    }

    const std::int32_t* checked_ids(const Input& ids, i64 tokens, const vector<Input>& projected) const {
        const std::int32_t* const id = checked<std::int32_t>("ids", "(tokens)", ids, {tokens});
        for (const Input& p : projected) {
            const i64 rows = p.ndim() == 2 ? static_cast<i64>(p.shape(0)) : 0;
            checked<T>("projected", "(rows, input_width)", p, {rows, sizes_.input_width}, true);
            check_range(id, tokens, rows);
        }
        return id;
    }

    // (directions, batch, size), hidden_size if 0: a whole array, or none.
    template <class Array>
    auto states(const char* name, const optional<Array>& array, i64 batch, i64 size = 0) const {
        using Element = std::conditional_t<std::is_same_v<Array, Input>, const T, T>;
        if (!array) return Rows<Element>{nullptr, 0};
        if (size == 0) size = options_.hidden_size;
        const char* const what = size == options_.hidden_size ? "(directions, batch, hidden_size)" : "(directions, batch, proj_size)";
        return Rows<Element>{checked<T>(name, what, *array, {directions_, batch, size}, true), size};
    }

    template <class E>
    Rows<E> at(const Rows<E>& rows, int d, i64 batch) const {
        return {rows.data == nullptr ? nullptr : rows.data + d * batch * rows.row, rows.row};
    }

    Options options_{};
    int directions_;
    const Kernels<T>* kernels_;
    std::string isa_;
    Sizes sizes_{};
};

}  // namespace throughtime
