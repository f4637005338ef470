// Pooling over texts for Python.
#pragma once

#include "layer.h"

namespace throughtime {

// One element type's pooling on one instruction set; see Pool in layer.h of the core.
template <class T>
class Pooling {
public:
    explicit Pooling(const optional<std::string>& isa) {
        const InstructionSet& set = choose(isa);
        if constexpr (std::is_same_v<T, float>) kernels_ = set.float32;
        else kernels_ = set.float64;
    }

    void forward(const Input& values, const vector<i64>& lengths, const optional<Output>& maximum, const optional<Output>& at,
                 const optional<Output>& mean, int threads) const {
        const Sizes sizes = read("values", values, lengths);
        Pool<T> pool{};
        pool.texts = {sizes.texts, sizes.start.data()};
        pool.features = sizes.features;
        pool.values = checked<T>("values", "(tokens, features)", values, {sizes.tokens, sizes.features}, true);
        if (maximum.has_value() != at.has_value()) throw OptionProblem("maximum and at must be given together");
        if (maximum) {
            pool.maximum = checked<T>("maximum", "(texts, features)", *maximum, {sizes.texts, sizes.features}, true);
            pool.at = checked<Index<T>>("at", "(texts, features)", *at, {sizes.texts, sizes.features}, true);
        }
        if (mean) pool.mean = checked<T>("mean", "(texts, features)", *mean, {sizes.texts, sizes.features}, true);
        nb::gil_scoped_release release;
        kernels_->pool(pool, check_threads(threads));
    }

    void backward(const vector<i64>& lengths, const optional<Input>& d_maximum, const optional<Input>& at,
                  const optional<Input>& d_mean, const Output& d_values, int threads) const {
        const Sizes sizes = read("d_values", d_values, lengths);
        PoolBackward<T> pool{};
        pool.texts = {sizes.texts, sizes.start.data()};
        pool.features = sizes.features;
        if (d_maximum && !at) throw OptionProblem("d_maximum needs at");
        if (d_maximum) {
            pool.d_maximum = checked<T>("d_maximum", "(texts, features)", *d_maximum, {sizes.texts, sizes.features}, true);
            pool.at = checked<Index<T>>("at", "(texts, features)", *at, {sizes.texts, sizes.features}, true);
            check_places(pool);
        }
        if (d_mean) pool.d_mean = checked<T>("d_mean", "(texts, features)", *d_mean, {sizes.texts, sizes.features}, true);
        pool.d_values = checked<T>("d_values", "(tokens, features)", d_values, {sizes.tokens, sizes.features}, true);
        nb::gil_scoped_release release;
        kernels_->pool_backward(pool, check_threads(threads));
    }

private:
    struct Sizes {
        i64 tokens, features, texts;
        vector<i64> start;
    };

    template <class Array>
    static Sizes read(const char* name, const Array& values, const vector<i64>& lengths) {
        if (values.ndim() != 2) {
            throw ShapeProblem(std::string(name) + " must have 2 axes, (tokens, features), but has " + std::to_string(values.ndim()));
        }
        Sizes sizes{static_cast<i64>(values.shape(0)), static_cast<i64>(values.shape(1)), static_cast<i64>(lengths.size()), {0}};
        for (i64 length : lengths) {
            if (length < 1 || length > kLargest) {
                throw ShapeProblem("lengths must be in 1.." + std::to_string(kLargest) + ", but one is " + std::to_string(length));
            }
            sizes.start.push_back(sizes.start.back() + length);
        }
        if (sizes.start.back() != sizes.tokens) {
            throw ShapeProblem("lengths must add up to the tokens of " + std::string(name) + ", but " +
                               std::to_string(sizes.start.back()) + " != " + std::to_string(sizes.tokens));
        }
        if (sizes.tokens > kLargest) {
            throw ShapeProblem("there must be at most " + std::to_string(kLargest) + " tokens, but are " +
                               std::to_string(sizes.tokens));
        }
        return sizes;
    }

    static void check_places(const PoolBackward<T>& pool) {
        for (i64 text = 0; text < pool.texts.count; ++text) {
            for (i64 f = 0; f < pool.features; ++f) {
                const i64 token = pool.at[text * pool.features + f];
                if (token >= pool.texts.start[text] && token < pool.texts.start[text + 1]) continue;
                throw ShapeProblem("at must hold tokens of each text, but one of text " + std::to_string(text) + " is " +
                                   std::to_string(token));
            }
        }
    }

    const Kernels<T>* kernels_;
};

}  // namespace throughtime
