// pool and pool_backward against plain loops, over odd sizes and on threads.
#include "check.h"
#include "run.h"
#include "tests.h"

namespace throughtime::tests {
namespace {

template <class T>
void pooling(const char* set, const Kernels<T>& kernels, const std::vector<i64>& lengths, i64 features, int threads) {
    std::snprintf(context, sizeof context, "%s float%d, %d texts, %d features, %d threads", set, static_cast<int>(8 * sizeof(T)),
                  static_cast<int>(lengths.size()), static_cast<int>(features), threads);
    const double bound = sizeof(T) == 4 ? 2e-6 : 1e-12;
    std::vector<i64> start{0};
    for (i64 length : lengths) start.push_back(start.back() + length);
    const i64 texts = static_cast<i64>(lengths.size()), pooled = texts * features;
    std::mt19937 engine(7);
    const auto drawn = [&](i64 size) {
        Block<T> out(size);
        for (i64 i = 0; i < size; ++i) out[i] = static_cast<T>(static_cast<double>(engine() % 64) / 32.0 - 1.0);  // with equals
        return out;
    };
    const Block<T> values = drawn(start.back() * features), d_maximum = drawn(pooled), d_mean = drawn(pooled);
    const Block<T> maximum(pooled), mean(pooled), d_values(values.size);
    std::vector<Index<T>> at(static_cast<std::size_t>(pooled), -1);
    kernels.pool({{texts, start.data()}, features, values.get(), maximum.get(), at.data(), mean.get()}, threads);
    kernels.pool_backward({{texts, start.data()}, features, d_maximum.get(), at.data(), d_mean.get(), d_values.get()}, threads);
    for (i64 text = 0; text < texts; ++text) {
        for (i64 f = 0; f < features; ++f) {
            const i64 first = start[static_cast<std::size_t>(text)], last = start[static_cast<std::size_t>(text) + 1];
            i64 highest = first;
            double sum = 0.0;
            for (i64 token = first; token < last; ++token) {
                if (values[token * features + f] > values[highest * features + f]) highest = token;
                sum += static_cast<double>(values[token * features + f]);
            }
            const i64 to = text * features + f;
            const double length = static_cast<double>(last - first);
            CHECK(maximum[to] == values[highest * features + f], "another maximum");
            CHECK(at[static_cast<std::size_t>(to)] == highest, "the maximum is at %d", static_cast<int>(highest));
            CHECK(std::fabs(static_cast<double>(mean[to]) - sum / length) <= bound, "the mean is off");
            for (i64 token = first; token < last; ++token) {
                const double expected = static_cast<double>(d_mean[to]) / length + (token == highest ? static_cast<double>(d_maximum[to]) : 0.0);
                CHECK(std::fabs(static_cast<double>(d_values[token * features + f]) - expected) <= bound, "a gradient is off");
            }
        }
    }
}

}  // namespace

void test_pooling() {
    int count = 0;
    const InstructionSet* const sets = instruction_sets(&count);
    for (int i = 0; i < count; ++i) {
        if (!sets[i].runs_here()) continue;
        for (i64 features : {1, 3, 16, 33, 100, 256}) {
            for (int threads = 1; threads <= 3; ++threads) {
                for (const std::vector<i64>& lengths : {std::vector<i64>{1}, {5, 1, 900, 2, 2}, {700, 3, 1200, 900, 640}}) {
                    pooling(sets[i].name, *sets[i].float32, lengths, features, threads);
                    pooling(sets[i].name, *sets[i].float64, lengths, features, threads);
                }
            }
        }
    }
}

}  // namespace throughtime::tests
