// A stack of layers advanced one time step at a time, with everything prepared: what one step costs is the step.
#pragma once

#include "layer.h"

#include <mutex>

namespace throughtime {

// A step of fewer products takes some microseconds: others can wait for the interpreter's lock as long.
constexpr i64 kWorthReleasing = 1 << 20;

// Layers of one direction. They and the packed weights are kept alive; the state is owned here, and one call at a time is at it.
template <class T>
class Stream {
public:
    Stream(const vector<nb::object>& owners, const vector<Input>& packed, i64 batch)
        : plan_(1, batch, std::nullopt), batch_(batch), owners_(owners) {
        vector<const Layer<T>*> layers;
        for (const nb::object& owner : owners_) {
            if (!nb::isinstance<Layer<T>>(owner)) throw nb::type_error("layers must hold layers of the stream's element type");
            layers.push_back(nb::inst_ptr<Layer<T>>(owner));
        }
        if (layers.empty() || layers.size() != packed.size()) {
            throw ShapeProblem("a stream needs a layer, and packed weights for each, but got " + std::to_string(layers.size()) +
                               " and " + std::to_string(packed.size()));
        }
        for (std::size_t i = 0; i < layers.size(); ++i) {
            if (layers[i]->directions() != 1) throw OptionProblem("a stream cannot run a bidirectional layer");
            if (layers[i]->options().recurrent_mask || layers[i]->options().zoneout_masks) {
                throw OptionProblem("a stream has no masks, but layer " + std::to_string(i) + " needs them");
            }
            const i64 below = i == 0 ? layers[i]->options().input_size : features_of(levels_.back().layer->options());
            if (layers[i]->options().input_size != below) {
                throw ShapeProblem("layer " + std::to_string(i) + " must read the " + std::to_string(below) +
                                   " features of the one below, but reads " + std::to_string(layers[i]->options().input_size));
            }
            checked<T>("packed", "(size of the packed weights)", packed[i], {layers[i]->sizes().packed_forward});
            const auto count = static_cast<std::size_t>(batch * layers[i]->options().hidden_size);
            levels_.push_back({layers[i], packed[i], vector<T>(count), vector<T>(count), vector<T>(count)});
            products_ += batch * layers[i]->sizes().packed_forward;
        }
    }

    // One step: x (batch, input_size) in, y (batch, hidden_size of the last layer) out.
    void step(const Input& x, const Output& y, int threads) {
        const i64 I = levels_.front().layer->options().input_size, H = features_of(levels_.back().layer->options());
        const T* from = checked<T>("x", "(batch, input_size)", x, {batch_, I});
        T* const to = checked<T>("y", "(batch, hidden_size)", y, {batch_, H});
        i64 row = x.stride(0);
        check_threads(threads);
        optional<nb::gil_scoped_release> release;
        if (products_ >= kWorthReleasing) release.emplace();
        const std::lock_guard<std::mutex> lock(mutex_);
        for (Level& level : levels_) {
            const bool last = &level == &levels_.back();
            const i64 size = features_of(level.layer->options()), cells = level.layer->options().hidden_size;
            ForwardLayer<T> call{};
            call.options = level.layer->options();
            call.plan = plan_.plan();
            call.x = {from, 0, row, nullptr, nullptr};
            call.directions = 1;
            call.threads = threads;
            ForwardDirection<T>& d = call.direction[0];
            d.packed = static_cast<const T*>(level.packed.data());
            d.h_0 = {level.h.data(), size};
            d.c_0 = {level.c.data(), cells};
            d.y = last ? Sequences<T>{to, 0, y.stride(0), nullptr, nullptr}
                        : Sequences<T>{level.y.data(), 0, size, nullptr, nullptr};
            d.h_n = {level.h.data(), size};  // written after the step has read it
            d.c_n = {level.c.data(), cells};
            level.layer->kernels().forward(call);
            from = level.y.data();
            row = size;
        }
    }

    // The state of layer `level`, (batch, hidden_size): h, or c with `cell`.
    void read(i64 level, bool cell, const Output& state) const {
        const vector<T>& from = part(level, cell);
        T* const to = checked<T>("state", "(batch, features of h, or hidden_size)", state, {batch_, size(level, cell)}, true);
        const std::lock_guard<std::mutex> lock(mutex_);
        std::copy_n(from.begin(), batch_ * size(level, cell), to);
    }

    void write(i64 level, bool cell, const Input& state) {
        vector<T>& to = const_cast<vector<T>&>(part(level, cell));
        const T* const from = checked<T>("state", "(batch, features of h, or hidden_size)", state, {batch_, size(level, cell)}, true);
        const std::lock_guard<std::mutex> lock(mutex_);
        std::copy_n(from, batch_ * size(level, cell), to.begin());
    }

private:
    struct Level {
        const Layer<T>* layer;
        Input packed;
        vector<T> h, c, y;
    };

    const vector<T>& part(i64 level, bool cell) const {
        if (level < 0 || level >= static_cast<i64>(levels_.size())) {
            throw ShapeProblem("level must be in 0.." + std::to_string(levels_.size() - 1) + ", but is " + std::to_string(level));
        }
        const Level& at = levels_[static_cast<std::size_t>(level)];
        return cell ? at.c : at.h;
    }
    // Values that a sequence has of h, or of c.
    i64 size(i64 level, bool cell) const {
        const Options& options = levels_[static_cast<std::size_t>(level)].layer->options();
        return cell ? options.hidden_size : features_of(options);
    }

    BatchPlan plan_;
    i64 batch_, products_ = 0;
    mutable std::mutex mutex_;
    vector<nb::object> owners_;  // the layers
    vector<Level> levels_;
};

}  // namespace throughtime
