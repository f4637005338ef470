// The order of work of one batch, from Python.
#pragma once

#include "arrays.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <vector>

namespace throughtime {

using std::optional;
using std::vector;

constexpr i64 kLargest = i64{1} << 28;  // of a size: products of two, and of gates, do not overflow

// The order of work of one batch, see Plan in layer.h of the core; and how arrays without padding lie: end to end, or (as in a
// PackedSequence) step by step, which needs falling lengths.
class BatchPlan {
public:
    BatchPlan(i64 seq_len, i64 batch, const optional<vector<i64>>& lengths, bool by_step = false) : by_step_(by_step) {
        if (seq_len < 1) throw ShapeProblem("seq_len must be at least 1, but is " + std::to_string(seq_len));
        if (batch < 1) throw ShapeProblem("batch must be at least 1, but is " + std::to_string(batch));
        if (seq_len > kLargest || batch > kLargest) {
            throw ShapeProblem("seq_len and batch must be at most " + std::to_string(kLargest) + ", but are " +
                               std::to_string(seq_len) + " and " + std::to_string(batch));
        }
        if (lengths && static_cast<i64>(lengths->size()) != batch) {
            throw ShapeProblem("lengths must hold one length for each of the " + std::to_string(batch) +
                               " sequences, but holds " + std::to_string(lengths->size()));
        }
        order_.resize(static_cast<std::size_t>(batch));
        std::iota(order_.begin(), order_.end(), 0);
        length_.assign(static_cast<std::size_t>(batch), seq_len);
        if (lengths) {
            for (i64 length : *lengths) {
                if (length >= 1 && length <= seq_len) continue;
                throw ShapeProblem("lengths must be in 1.." + std::to_string(seq_len) + ", but one is " +
                                   std::to_string(length));
            }
            if (by_step && !std::is_sorted(lengths->rbegin(), lengths->rend())) {
                throw ShapeProblem("lengths must fall, longest first, where sequences lie step by step");
            }
            std::stable_sort(order_.begin(), order_.end(), [&](i64 a, i64 b) {
                return (*lengths)[static_cast<std::size_t>(a)] > (*lengths)[static_cast<std::size_t>(b)];
            });
            for (std::size_t k = 0; k < order_.size(); ++k) length_[k] = (*lengths)[static_cast<std::size_t>(order_[k])];
        }
        i64 alive = batch, tokens = 0;
        for (i64 t = 0; t < seq_len; ++t) {
            while (alive > 0 && length_[static_cast<std::size_t>(alive - 1)] <= t) --alive;
            active_.push_back(alive);
            offset_.push_back(tokens);
            tokens += alive;
        }
        offset_.push_back(tokens);
    }

    Plan plan() const {
        return {static_cast<i64>(active_.size()), static_cast<i64>(order_.size()), length_.data(), order_.data(),
                active_.data(), offset_.data()};
    }
    i64 tokens() const { return offset_.back(); }

    bool by_step() const { return by_step_; }

    // Where each sequence starts (end to end), or each step (step by step), with so many features. The plan keeps the
    // table: one for each size asked for.
    const i64* starts(i64 features) const {
        std::lock_guard<std::mutex> lock(mutex_);
        const auto kept = starts_.find(features);
        if (kept != starts_.end()) return kept->second.data();
        return starts_.emplace(features, new_starts(features)).first->second.data();
    }

    // Numbers of tokens, given as arrays without padding lie, in the order in which the core numbers tokens.
    void by_token(const Input& given, const Output& out) const {
        const auto* const from = checked<std::int32_t>("ids", "(tokens)", given, {tokens()});
        auto* const to = checked<std::int32_t>("out", "(tokens)", out, {tokens()});
        const i64* const start = starts(1);
        for (std::size_t t = 0; t < active_.size(); ++t) {
            for (i64 k = 0; k < active_[t]; ++k) {
                const i64 b = order_[static_cast<std::size_t>(k)];
                to[offset_[t] + k] = from[by_step_ ? start[t] + b : start[b] + static_cast<i64>(t)];
            }
        }
    }

private:
    vector<i64> new_starts(i64 features) const {
        if (by_step_) {
            vector<i64> table(offset_.begin(), offset_.end() - 1);
            for (i64& at : table) at *= features;
            return table;
        }
        vector<i64> table(order_.size());
        for (std::size_t k = 0; k < order_.size(); ++k) table[static_cast<std::size_t>(order_[k])] = length_[k];
        i64 at = 0;
        for (i64& start : table) {
            const i64 length = start;
            start = at;
            at += length * features;
        }
        return table;
    }

    bool by_step_;
    vector<i64> order_, length_, active_, offset_;
    mutable std::map<i64, vector<i64>> starts_;
    mutable std::mutex mutex_;
};

}  // namespace throughtime
