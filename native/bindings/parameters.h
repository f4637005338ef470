// The parameters of one direction, and the random numbers of a call, from Python.
#pragma once

#include "arrays.h"

#include <vector>

namespace throughtime {

using std::optional;
using std::vector;

inline i64 gates_of(const Options& o) {
    switch (o.cell) {
        case Cell::gru: return 3;
        case Cell::lstm: return o.coupled_gates ? 3 : 4;
        case Cell::min_gru: return 2;
        case Cell::min_lstm: return 3;
        default: return 1;
    }
}

// Features of h.
inline i64 features_of(const Options& o) { return o.proj_size > 0 ? o.proj_size : o.hidden_size; }

// In the order of `Weights`; `spec.cells.KINDS` is the same. What the options do not have must be None, and, but for biases, what
// they have may be None only where it is `optional`: gradients that are not wanted.
template <class T, class Array>
auto parameters(const char* prefix, const Options& o, const vector<optional<Array>>& given, bool all) {
    using Element = std::conditional_t<std::is_same_v<Array, Input>, const T, T>;
    constexpr std::size_t kinds = 10;
    if (given.size() != kinds) {
        throw ShapeProblem(std::string("parameters must be ") + std::to_string(kinds) + ", None where there is none, but are " +
                           std::to_string(given.size()));
    }
    const i64 H = o.hidden_size, rows = gates_of(o) * H, P = features_of(o);
    const bool matrix = o.cell <= Cell::lstm, cell = o.cell == Cell::lstm, diagonal = o.cell == Cell::ind_rnn;
    const auto one = [&](std::size_t kind, const char* name, bool has, bool needed, const char* what,
                         std::initializer_list<i64> shape) -> Element* {
        const std::string full = std::string(prefix) + name;
        if (given[kind] && !has) throw OptionProblem(full + " must be None: the layer does not have it");
        if (!given[kind] && has && needed && all) throw OptionProblem(full + " must be given");
        return given[kind] ? checked<T>(full.c_str(), what, *given[kind], shape, true) : nullptr;
    };
    Weights<Element> w{};
    w.weight_ih = one(0, "weight_ih", true, true, "(gates * hidden_size, input_size)", {rows, o.input_size});
    w.weight_hh = diagonal ? one(1, "weight_hh", true, true, "(hidden_size)", {H})
                           : one(1, "weight_hh", matrix, true, "(gates * hidden_size, features of h)", {rows, P});
    w.bias_ih = one(2, "bias_ih", true, false, "(gates * hidden_size)", {rows});
    w.bias_hh = one(3, "bias_hh", matrix, false, "(gates * hidden_size)", {rows});
    w.weight_hr = one(4, "weight_hr", o.proj_size > 0, true, "(proj_size, hidden_size)", {P, H});
    w.weight_peephole = one(5, "weight_peephole", o.peephole, true, "(gates with a peephole * hidden_size)",
                            {(o.coupled_gates ? 2 : 3) * H});
    w.norm_ih = one(6, "norm_ih", o.layer_norm, true, "(gates * hidden_size)", {rows});
    w.norm_hh = one(7, "norm_hh", o.layer_norm, true, "(gates * hidden_size)", {rows});
    w.norm_c = one(8, "norm_c", o.layer_norm && cell, true, "(hidden_size)", {H});
    w.bias_c = one(9, "bias_c", o.layer_norm && cell, false, "(hidden_size)", {H});
    if (all && matrix && given[2].has_value() != given[3].has_value()) {
        throw OptionProblem("bias_ih and bias_hh must be given together");
    }
    return w;
}

}  // namespace throughtime
