// project, project_backward and scatter against plain loops in double, over odd sizes and on threads.
#include "check.h"
#include "run.h"
#include "tests.h"

namespace throughtime::tests {
namespace {

// Row of weight_ih behind each column of a slot: RNN h, GRU n r z, LSTM i f g o.
i64 gate_of_slot(Cell cell, i64 slot) { return cell == Cell::gru ? (slot + 2) % 3 : slot; }

template <class T>
Block<T> drawn(i64 size, unsigned seed) {
    std::mt19937 engine(seed);
    Block<T> out(size);
    for (i64 i = 0; i < size; ++i) out[i] = static_cast<T>(static_cast<double>(engine()) / 2147483648.0 - 1.0);
    return out;
}

template <class T>
void check_close(const char* what, double got, double expected, double terms) {
    const double bound = (sizeof(T) == 4 ? 2e-5 : 1e-12) * (1.0 + terms / 50.0);
    CHECK(std::fabs(got - expected) <= bound, "%s: %.9g, but must be %.9g", what, got, expected);
}

template <class T>
void projection(const char* set, const Kernels<T>& kernels, const Options& o, i64 rows, int threads) {
    std::snprintf(context, sizeof context, "%s float%d cell %d, %d -> %d, %d rows, %d threads", set, static_cast<int>(8 * sizeof(T)),
                  static_cast<int>(o.cell), static_cast<int>(o.input_size), static_cast<int>(o.hidden_size), static_cast<int>(rows), threads);
    const Sizes sizes = kernels.sizes(o);
    const i64 I = o.input_size, H = o.hidden_size, G = o.cell == Cell::lstm ? 4 : o.cell == Cell::gru ? 3 : 1, width = sizes.input_width;
    const i64 padded = width / G, stride = I + 3;
    const Block<T> w = drawn<T>(G * H * I, 1), w_hh = drawn<T>(G * H * H, 2), x = drawn<T>((rows - 1) * stride + I, 3);
    const Block<T> packed(sizes.packed_forward), packed_back(sizes.packed_backward), out(rows * width);
    Weights<const T> weights;
    weights.weight_ih = w.get();
    weights.weight_hh = w_hh.get();
    kernels.pack(o, weights, false, packed.get());
    kernels.pack(o, weights, true, packed_back.get());
    kernels.project(o, packed.get(), x.get(), stride, rows, out.get(), threads);
    Block<T> d = drawn<T>(rows * width, 4);
    std::vector<double> d_w(static_cast<std::size_t>(G * H * I)), d_x(static_cast<std::size_t>(rows * I));
    for (i64 row = 0; row < rows; ++row) {
        for (i64 column = 0; column < width; ++column) {
            const i64 unit = column % padded, at = (gate_of_slot(o.cell, column / padded) * H + unit) * I;
            if (unit >= H) {
                d[row * width + column] = T(0);
                CHECK(out[row * width + column] == T(0), "a padded place holds %g", static_cast<double>(out[row * width + column]));
                continue;
            }
            double sum = 0.0;
            for (i64 k = 0; k < I; ++k) {
                sum += static_cast<double>(x[row * stride + k]) * static_cast<double>(w[at + k]);
                d_w[static_cast<std::size_t>(at + k)] += static_cast<double>(x[row * stride + k]) * static_cast<double>(d[row * width + column]);
                d_x[static_cast<std::size_t>(row * I + k)] += static_cast<double>(w[at + k]) * static_cast<double>(d[row * width + column]);
            }
            check_close<T>("project", static_cast<double>(out[row * width + column]), sum, static_cast<double>(I));
        }
    }
    const Block<T> got_w(G * H * I), got_x(rows * I);
    kernels.project_backward(o, packed_back.get(), x.get(), stride, rows, d.get(), got_x.get(), got_w.get(), threads);
    for (i64 i = 0; i < got_w.size; ++i) {
        check_close<T>("d_weight_ih", static_cast<double>(got_w[i]), d_w[static_cast<std::size_t>(i)], static_cast<double>(rows));
    }
    for (i64 i = 0; i < got_x.size; ++i) {
        check_close<T>("d_x", static_cast<double>(got_x[i]), d_x[static_cast<std::size_t>(i)], static_cast<double>(G * H));
    }

    const i64 count = 2 * rows + 1, distinct = 3;
    std::vector<std::int32_t> ids;
    for (i64 i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>(i * i % distinct));
    const Block<T> values = drawn<T>((count - 1) * sizes.gates_width + width, 5), sums(distinct * width);
    kernels.scatter(values.get(), sizes.gates_width, ids.data(), count, width, distinct, sums.get(), threads);
    for (i64 row = 0; row < distinct; ++row) {
        for (i64 column = 0; column < width; ++column) {
            double sum = 0.0;
            for (i64 i = 0; i < count; ++i) {
                if (ids[static_cast<std::size_t>(i)] == row) sum += static_cast<double>(values[i * sizes.gates_width + column]);
            }
            check_close<T>("scatter", static_cast<double>(sums[row * width + column]), sum, static_cast<double>(count));
        }
    }
}

}  // namespace

void test_projection() {
    int count = 0;
    const InstructionSet* const sets = instruction_sets(&count);
    const i64 shapes[][3] = {{1, 1, 1}, {3, 17, 5}, {17, 3, 130}, {33, 15, 7}, {130, 65, 300}};  // input, hidden, rows
    for (int i = 0; i < count; ++i) {
        if (!sets[i].runs_here()) continue;
        for (const auto& shape : shapes) {
            for (int cell = 0; cell < 4; ++cell) {  // 3: the GRU that resets before the product
                for (int threads = 1; threads <= 3; ++threads) {
                    const Options o{cell == 3 ? Cell::gru : static_cast<Cell>(cell), Nonlinearity::tanh, cell != 3, shape[0], shape[1]};
                    projection(sets[i].name, *sets[i].float32, o, shape[2], threads);
                    projection(sets[i].name, *sets[i].float64, o, shape[2], threads);
                }
            }
        }
    }
}

}  // namespace throughtime::tests
