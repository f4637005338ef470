// One forward and backward of a layer. Every array is a heap block of exactly the size that layer.h contracts, so that a
// sanitizer sees a read or a write beside it; outputs hold NaN before.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "throughtime/layer.h"

namespace throughtime::tests {

template <class T>
struct Block {
    explicit Block(i64 size) : size(size), data(new T[static_cast<std::size_t>(size)]) {
        for (i64 i = 0; i < size; ++i) data[static_cast<std::size_t>(i)] = std::numeric_limits<T>::quiet_NaN();
    }
    T* get() const { return size == 0 ? nullptr : data.get(); }
    T& operator[](i64 i) const { return data[static_cast<std::size_t>(i)]; }
    i64 size;
    std::unique_ptr<T[]> data;
};

// How arrays of steps lie; see Sequences. by_step needs falling lengths.
enum class Lie { padded, end_to_end, by_step };

// Sequences by falling length; see Plan.
class Batch {
public:
    explicit Batch(std::vector<i64> lengths);
    Plan plan() const { return {steps_, static_cast<i64>(order_.size()), sorted_.data(), order_.data(), active_.data(), offset_.data()}; }
    i64 tokens() const { return offset_.back(); }
    i64 size() const { return static_cast<i64>(order_.size()); }
    i64 steps() const { return steps_; }
    i64 length(i64 sequence) const { return lengths_[static_cast<std::size_t>(sequence)]; }
    // Rows before each sequence, or before each step.
    std::vector<i64> starts(Lie lie) const;

private:
    std::vector<i64> lengths_, order_, sorted_, active_, offset_;
    i64 steps_ = 0;
};

struct Case {
    Options options;
    std::vector<i64> lengths;
    int directions;
    int threads;
    bool biases, states;
    Lie lie = Lie::padded;
    bool by_rows = false;  // forward reads the input's products from a table
};

constexpr int kKindsOfParameters = 10;  // see Weights

// Arguments of a case: parameters of each direction, x, h_0, c_0, an upstream gradient of each result, and masks of each direction.
// In double, for every T; empty where a case has none.
struct Arguments {
    Arguments(const Case& c, unsigned seed);
    std::vector<std::vector<double>> values;  // x, h_0, c_0, then of each direction the parameters in the order of Weights
    std::vector<double> u_y, u_h_n, u_c_n;
    std::vector<std::vector<double>> masks;   // of each direction zoneout_h, zoneout_c (padded), recurrent
};

// y, h_n, c_n; then the gradients in the order of Arguments::values. Steps are padded, with zeros, however they lay.
struct Results {
    std::vector<std::vector<double>> values, gradients;
};

template <class T>
Results run(const Kernels<T>& kernels, const Case& c, const Arguments& given, bool backward);

}  // namespace throughtime::tests
