// Contracts of the native core: one recurrent layer, one or two directions, over a whole batch of ragged sequences.
//
// No Python and no torch here. Every pointer says its layout, its owner and its initial value. The caller owns all memory
// that it passes and keeps it alive during the call; nothing is kept after it. The core writes no output, throws only from
// the calling thread, and only std::bad_alloc.
//
// Sizes: T steps, B sequences, I input features, H hidden units, P features of h (H, or proj_size); G gates (RNN 1, GRU 3,
// LSTM 4, or 3 with coupled gates; MinGRU 2, MinLSTM 3, IndRNN 1). `Hp` is H rounded up to `lanes`, the width of a vector on
// the chosen instruction set; padded places of packed weights and of the gates in d_gates hold zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

// Compiled into each function that calls it: of a function that two instruction sets shared the linker would keep one.
#define THROUGHTIME_INLINE inline __attribute__((always_inline))

namespace throughtime {

using i64 = std::int64_t;

constexpr int kMostThreads = 1024;  // an OpenMP library ends the process that asks for more than it can start

// As wide as T, so that a vector of one selects a vector of the other.
template <class T>
using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

enum class Cell : int { rnn = 0, gru = 1, lstm = 2, min_gru = 3, min_lstm = 4, ind_rnn = 5 };
enum class Nonlinearity : int { tanh = 0, relu = 1, sigmoid = 2, identity = 3 };

// What fixes the mathematics of a layer; see spec/cells.py for which cell has which option. A GRU that resets before the
// product has none of those from layer_norm on.
struct Options {
    Cell cell;
    Nonlinearity nonlinearity;
    bool reset_after;
    i64 input_size;
    i64 hidden_size;
    bool layer_norm = false;
    double zoneout_h = 0, zoneout_c = 0;  // shares that mix old and new where there is no mask
    bool zoneout_masks = false;           // masks decide, wherever a share is above 0
    bool recurrent_mask = false;          // h_{t-1} is multiplied by `recurrent` where it enters weight_hh
    bool peephole = false;
    bool coupled_gates = false;
    i64 proj_size = 0;
};

// Features of each step of each sequence; those of step t of sequence b start at at(t, b), and are contiguous. Padded
// (T, B, features), in any order of the first two axes: both tables are null. Without padding, (tokens, features): end to
// end, where sequence b starts at row_start[b]; or step by step, where step t starts at step_start[t] and sequence b is its
// row b, so that the batch must be in the order of rank (a PackedSequence of torch).
template <class T>
struct Sequences {
    T* data;
    i64 step;
    i64 row;
    const i64* row_start;
    const i64* step_start;
    THROUGHTIME_INLINE T* at(i64 t, i64 b) const {
        return data + (step_start != nullptr ? step_start[t] : t * step) + (row_start != nullptr ? row_start[b] : b * row);
    }
    THROUGHTIME_INLINE bool has_padding() const { return row_start == nullptr && step_start == nullptr; }
};

// (B, features): those of sequence b start at data + b * row. data may be null where it is said.
template <class T>
struct Rows {
    T* data;
    i64 row;
    THROUGHTIME_INLINE T* at(i64 b) const { return data + b * row; }
};

// Parameters of one direction in torch's layout, or their gradients: weight_ih (G*H, I), weight_hh (G*H, P; IndRNN H), biases
// (G*H), weight_hr (P, H), weight_peephole (H for each of i f o, or f o), norm_ih and norm_hh (G*H), norm_c and bias_c (H).
// Null where the options have none; of a gradient, null: not wanted.
template <class T>
struct Weights {
    T* weight_ih = nullptr;
    T* weight_hh = nullptr;
    T* bias_ih = nullptr;
    T* bias_hh = nullptr;
    T* weight_hr = nullptr;
    T* weight_peephole = nullptr;
    T* norm_ih = nullptr;
    T* norm_hh = nullptr;
    T* norm_c = nullptr;
    T* bias_c = nullptr;
};

// The random numbers of one direction (see spec/masks.py); null data where the options have none.
template <class T>
struct Masks {
    Sequences<const std::uint8_t> zoneout_h;  // P; not 0 where h keeps its value
    Sequences<const std::uint8_t> zoneout_c;  // H
    Rows<const T> recurrent;                  // P
};

// The order of work: sequences by falling length. Rank r is the place of a sequence in that order; the real steps, called
// tokens, are numbered step by step: token(t, rank) = offset[t] + rank, for rank < active[t].
struct Plan {
    i64 steps;          // T, at least 1
    i64 batch;          // B, at least 1
    const i64* length;  // (B), by rank, falling, each in 1..T
    const i64* order;   // (B), the sequence at each rank
    const i64* active;  // (T), sequences that have a step t
    const i64* offset;  // (T + 1), tokens before step t; offset[T] is their number
};

// One direction of the forward pass.
template <class T>
struct ForwardDirection {
    bool reverse;             // from each sequence's last step to its first
    const T* packed;          // from pack(..., backward=false)
    const T* projected;       // null; or the input projection, biases included, of some rows: (rows, input_width), see
                              // `Sizes`; then x is not read
    const std::int32_t* ids;  // (tokens) by token: the row of `projected` that is its input; null where projected is
    Rows<const T> h_0;        // null data: zeros
    Rows<const T> c_0;        // LSTM only; null data: zeros
    Sequences<T> y;           // out; exactly 0 in the padding
    Rows<T> h_n;              // out: the state after the last real step
    Rows<T> c_n;              // out, LSTM only
    T* saved;                 // out, (tokens, saved_width): what backward needs; null for inference
    Masks<T> masks;
};

template <class T>
struct ForwardLayer {
    Options options;
    Plan plan;
    Sequences<const T> x;  // what lies past a sequence's end is never read
    int directions;        // 1 or 2
    ForwardDirection<T> direction[2];
    int threads;  // at most so many
};

// One direction of the backward pass. Gradients are written, not added to, unless it is said.
template <class T>
struct BackwardDirection {
    bool reverse;
    const T* packed;          // from pack(..., backward=true)
    Rows<const T> h_0, c_0;   // as in forward
    Sequences<const T> y;     // forward's output
    Sequences<const T> d_y;   // upstream; past a sequence's end it is never read
    Rows<const T> d_h_n;      // upstream; null data: zeros
    Rows<const T> d_c_n;      // upstream, LSTM only; null data: zeros
    const T* saved;           // forward's
    T* d_gates;               // work and out, (tokens, gates_width): gradients before the activations
    Weights<T> d_weights;     // out. With `projected` forward weight_ih must be null, and so d_x
    Rows<T> d_h_0;            // out; null data: not wanted
    Rows<T> d_c_0;            // out, LSTM only; null data: not wanted
    Masks<T> masks;           // as in forward
};

template <class T>
struct BackwardLayer {
    Options options;
    Plan plan;
    Sequences<const T> x;
    Sequences<T> d_x;  // out, the sum over directions, exactly 0 in the padding; null data: not wanted
    int directions;
    BackwardDirection<T> direction[2];
    int threads;
};

// Texts end to end: text i has tokens start[i] .. start[i + 1] - 1, at least one.
struct Texts {
    i64 count;
    const i64* start;  // (count + 1), from 0
};

// Maximum and mean of each feature over the tokens of each text; one of them may be null. NaN is the maximum where there is
// one. Of equal maxima the first counts.
template <class T>
struct Pool {
    Texts texts;
    i64 features;
    const T* values;  // (tokens, features)
    T* maximum;       // out (texts, features)
    Index<T>* at;     // out (texts, features): the token that has it; null with maximum
    T* mean;          // out (texts, features)
};

template <class T>
struct PoolBackward {
    Texts texts;
    i64 features;
    const T* d_maximum;  // (texts, features); null: zeros
    const Index<T>* at;  // from pool; null with d_maximum
    const T* d_mean;     // (texts, features); null: zeros
    T* d_values;         // out (tokens, features)
};

// Numbers of elements. They depend on the instruction set.
struct Sizes {
    i64 packed_forward;
    i64 packed_backward;
    i64 saved_width;   // of a token
    i64 gates_width;   // of a token's d_gates; its first input_width columns belong to the input's side, gate by gate,
                       // each padded to Hp: RNN h, GRU n r z, LSTM i f g o, MinGRU z n, MinLSTM f i n. An odd number of
                       // cache lines, of which those behind the gates are neither written nor read
    i64 input_width;   // of a row of the input projection
};

// Everything that one instruction set offers for one element type.
template <class T>
struct Kernels {
    int lanes;
    Sizes (*sizes)(const Options&);
    void (*pack)(const Options&, const Weights<const T>&, bool backward, T* packed);
    void (*forward)(const ForwardLayer<T>&);
    void (*backward)(const BackwardLayer<T>&);
    // out (rows, input_width) = x (rows, I), rows `stride` apart, times weight_ih, plus the biases of the input's side.
    void (*project)(const Options&, const T* packed, const T* x, i64 stride, i64 rows, T* out, int threads);
    // From d_projected (rows, input_width): d_x (rows, I), d_weight_ih (G*H, I), each null if not wanted. packed is
    // backward's.
    void (*project_backward)(const Options&, const T* packed, const T* x, i64 stride, i64 rows, const T* d_projected,
                             T* d_x, T* d_weight_ih, int threads);
    // out (rows, width) = 0; then out[ids[i]] += values[i] for the first `width` columns of values, (count) rows `stride`
    // apart, in the order of i. width is a multiple of `lanes`.
    void (*scatter)(const T* values, i64 stride, const std::int32_t* ids, i64 count, i64 width, i64 rows, T* out,
                    int threads);
    void (*pool)(const Pool<T>&, int threads);
    void (*pool_backward)(const PoolBackward<T>&, int threads);
    // A number that a change of any one 4-byte word changes for certain, and other changes but for one chance in 2^32 or so:
    // whether weights are still those that were packed.
    std::uint64_t (*fingerprint)(std::uint64_t start, const T* values, i64 count);
    // Elementwise, for tests of their error: function 0 exp, 1 sigmoid, 2 tanh.
    void (*activation)(int function, const T* in, T* out, i64 count);
};

// The instruction sets that were compiled in, best first: "avx512", "avx2", "baseline".
struct InstructionSet {
    const char* name;
    bool (*runs_here)();  // whether this machine has it
    const Kernels<float>* float32;
    const Kernels<double>* float64;
};
const InstructionSet* instruction_sets(int* count);

}  // namespace throughtime
