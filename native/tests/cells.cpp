// Every cell over odd sizes: one instruction set against another, more threads against one, and central differences.
#include <algorithm>
#include <cstring>

#include "check.h"
#include "run.h"
#include "tests.h"

namespace throughtime::tests {
namespace {

struct Kind {
    const char* name;
    Options options;  // sizes aside
    bool projection = false;
};

constexpr Options plain(Cell cell, Nonlinearity nonlinearity = Nonlinearity::tanh, bool reset_after = true) {
    return {cell, nonlinearity, reset_after, 0, 0};
}
constexpr Options normalised(Cell cell) {
    Options o = plain(cell);
    o.layer_norm = true;
    return o;
}
constexpr Options zoneout(Options o, bool masks) {
    o.zoneout_h = 0.3;
    o.zoneout_c = o.cell == Cell::lstm ? 0.2 : 0.0;
    o.zoneout_masks = masks;
    return o;
}
constexpr Options dropout(Options o) {
    o.recurrent_mask = true;
    return o;
}
constexpr Options gates(bool peephole, bool coupled, Options o = plain(Cell::lstm)) {
    o.peephole = peephole;
    o.coupled_gates = coupled;
    return o;
}

const Kind kKinds[] = {
    {"RNN tanh", plain(Cell::rnn)},
    {"RNN with dropout", dropout(plain(Cell::rnn))},
    {"GRU with dropout", dropout(plain(Cell::gru))},
    {"LSTM with dropout", dropout(plain(Cell::lstm))},
    {"RNN relu", plain(Cell::rnn, Nonlinearity::relu)},
    {"RNN sigmoid", plain(Cell::rnn, Nonlinearity::sigmoid)},
    {"RNN identity", plain(Cell::rnn, Nonlinearity::identity)},
    {"GRU after", plain(Cell::gru)},
    {"GRU before", plain(Cell::gru, Nonlinearity::tanh, false)},
    {"LSTM", plain(Cell::lstm)},
    {"RNN all", dropout(zoneout(normalised(Cell::rnn), true))},
    {"RNN zoneout", zoneout(plain(Cell::rnn, Nonlinearity::identity), false)},
    {"GRU all", dropout(zoneout(normalised(Cell::gru), true))},
    {"GRU zoneout", zoneout(plain(Cell::gru), false)},
    {"LSTM layer_norm", normalised(Cell::lstm)},
    {"LSTM zoneout, dropout", dropout(zoneout(plain(Cell::lstm), true))},
    {"LSTM peephole", gates(true, false)},
    {"LSTM coupled", gates(false, true)},
    {"LSTM projection", plain(Cell::lstm), true},
    {"LSTM all", dropout(zoneout(gates(true, true, normalised(Cell::lstm)), true)), true},
    {"LSTM all, four gates", dropout(zoneout(gates(true, false, normalised(Cell::lstm)), true)), true},
    {"MinGRU", zoneout(plain(Cell::min_gru), true)},
    {"MinLSTM", plain(Cell::min_lstm)},
    {"IndRNN", zoneout(plain(Cell::ind_rnn, Nonlinearity::relu), true)},
};

struct Shape {
    i64 input, hidden;
    std::vector<i64> lengths;
};

const std::vector<Shape> kShapes = {
    {1, 1, {1}},
    {3, 1, {2, 2}},
    {1, 3, {7}},
    {17, 17, {2, 7, 1, 7, 5, 6, 3, 1, 4}},
    {33, 15, {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}},
    {100, 65, {3, 9, 1}},
    {5, 100, {4}},
    {7, 40, {90, 31, 62}},  // more tokens than a chunk, and enough work for threads
    {9, 20, {6, 6, 4, 1, 1}},
    {70, 130, {12, 3}},     // threads share the hidden units
    {2, 40, std::vector<i64>(500, 3)},  // so many rows that they go through time in blocks
};

void set_context(const Kind& kind, const Case& c, const char* set, const char* type) {
    std::snprintf(context, sizeof context, "%s %s %s, %d -> %d, %d sequences to %d, %d directions, %d threads%s%s", set, type, kind.name,
                  static_cast<int>(c.options.input_size), static_cast<int>(c.options.hidden_size), static_cast<int>(c.lengths.size()),
                  static_cast<int>(*std::max_element(c.lengths.begin(), c.lengths.end())), c.directions, c.threads,
                  c.biases ? "" : ", no biases", c.states ? "" : ", no states");
}

bool finite(const std::vector<std::vector<double>>& arrays) {
    for (const auto& array : arrays) {
        for (double value : array) {
            if (!std::isfinite(value)) return false;
        }
    }
    return true;
}

bool same(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) { return a == b; }

// Largest difference, relative to the largest value of its array or to 1.
double difference(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        double largest = 1.0;
        for (double value : b[i]) largest = std::max(largest, std::fabs(value));
        for (std::size_t k = 0; k < a[i].size(); ++k) worst = std::max(worst, std::fabs(a[i][k] - b[i][k]) / largest);
    }
    return worst;
}

// Bounds of spec/tolerances.py; with layer normalisation five times as much, as OUTPUT_NORMALISED explains.
template <class T>
constexpr double kOutput = sizeof(T) == 4 ? 2e-6 : 1e-12;
template <class T>
constexpr double kGradient = sizeof(T) == 4 ? 2e-5 : 1e-11;

template <class T>
void compare(const Kind& kind, Case c, const char* set, const Kernels<T>& kernels, const Results& reference) {
    const char* const type = sizeof(T) == 4 ? "float32" : "float64";
    const Arguments given(c, 3);
    Results one;
    for (int threads = 1; threads <= 3; ++threads) {
        c.threads = threads;
        set_context(kind, c, set, type);
        const Results got = run(kernels, c, given, true);
        CHECK(finite(got.values) && finite(got.gradients), "something was not written, or read from padding");
        const double times = c.options.layer_norm ? 5.0 : 1.0;
        CHECK(difference(got.values, reference.values) <= times * kOutput<T>, "values are off by %g", difference(got.values, reference.values));
        CHECK(difference(got.gradients, reference.gradients) <= times * kGradient<T>, "gradients are off by %g",
              difference(got.gradients, reference.gradients));
        if (threads == 1) one = got;
        CHECK(same(one.values, got.values) && same(one.gradients, got.gradients), "other numbers than on one thread");
        CHECK(same(got.values, run(kernels, c, given, false).values), "other numbers in inference");
    }
    const bool falling = std::is_sorted(c.lengths.rbegin(), c.lengths.rend());
    for (Lie lie : {Lie::end_to_end, Lie::by_step}) {
        if (lie == Lie::by_step && !falling) continue;
        c.lie = lie;
        const Results got = run(kernels, c, given, true);
        CHECK(same(one.values, got.values) && same(one.gradients, got.gradients), "other numbers than with padding");
    }
    c.by_rows = true;
    for (bool backward : {true, false}) {
        const Results got = run(kernels, c, given, backward);
        CHECK(same(one.values, got.values) && same(got.gradients, backward ? one.gradients : got.gradients),
              "other numbers than without a table of rows");
    }
}

// E is the sum of all results times their weights. Some elements of every argument are moved.
double error(const Kernels<double>& kernels, const Case& c, const Arguments& given) {
    const Results got = run(kernels, c, given, false);
    double sum = 0.0;
    const std::vector<double>* const weights[] = {&given.u_y, &given.u_h_n, &given.u_c_n};
    for (int i = 0; i < 3; ++i) {
        for (std::size_t k = 0; k < got.values[i].size(); ++k) {
            if (!std::isnan((*weights[i])[k])) sum += got.values[i][k] * (*weights[i])[k];
        }
    }
    return sum;
}

void central_differences(const Kind& kind, const Case& c, const Kernels<double>& kernels, const Results& got) {
    set_context(kind, c, "central differences", "float64");
    Arguments given(c, 3);
    constexpr double step = 1.0 / 131072.0;
    for (std::size_t i = 0; i < given.values.size(); ++i) {
        auto& values = given.values[i];
        for (std::size_t k = 0; k < values.size(); k += std::max<std::size_t>(1, values.size() / 5)) {
            if (std::isnan(values[k])) continue;
            const double kept = values[k];
            const auto slope = [&](double h) {
                values[k] = kept + h;
                const double above = error(kernels, c, given);
                values[k] = kept - h;
                const double below = error(kernels, c, given);
                values[k] = kept;
                return (above - below) / (2 * h);
            };
            // Of two steps, so that the error is of the fourth order: a small deviation in a normalisation is steep.
            const double expected = (4 * slope(step) - slope(2 * step)) / 3;
            // CENTRAL of spec/tolerances.py.
            CHECK(std::fabs(got.gradients[i][k] - expected) <= 1e-8 + 1e-7 * std::fabs(expected),
                  "gradient of argument %d, element %d: %.12g, but the differences give %.12g", static_cast<int>(i), static_cast<int>(k),
                  got.gradients[i][k], expected);
        }
    }
}

}  // namespace

void test_cells() {
    int count = 0;
    const InstructionSet* const sets = instruction_sets(&count);
    const InstructionSet& baseline = sets[count - 1];
    for (const Kind& kind : kKinds) {
        for (const Shape& shape : kShapes) {
            for (int variant = 0; variant < 4; ++variant) {
                const bool whole = variant % 2 == 0;
                Options options = kind.options;
                options.input_size = shape.input;
                options.hidden_size = shape.hidden;
                options.proj_size = kind.projection ? shape.hidden / 2 : 0;
                const Case c{options, shape.lengths, 1 + variant / 2, 1, whole, whole};
                const Results reference = run(*baseline.float64, c, Arguments(c, 3), true);
                if (shape.hidden < 20) central_differences(kind, c, *baseline.float64, reference);
                for (int i = 0; i < count; ++i) {
                    if (!sets[i].runs_here()) continue;
                    // A few float32 values may lie so close together that their deviation makes too much of a last bit.
                    const bool steep = options.layer_norm && shape.hidden < 17;
                    if (!steep) compare(kind, c, sets[i].name, *sets[i].float32, reference);
                    compare(kind, c, sets[i].name, *sets[i].float64, reference);
                }
            }
        }
    }
}

}  // namespace throughtime::tests
