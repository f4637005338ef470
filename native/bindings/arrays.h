// Arrays from Python, checked before a pointer of theirs is used.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>

#include "throughtime/layer.h"

namespace throughtime {

namespace nb = nanobind;

using Input = nb::ndarray<nb::ro, nb::device::cpu>;
using Output = nb::ndarray<nb::device::cpu>;

// Becomes throughtime.spec.errors.ShapeError.
struct ShapeProblem : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// Becomes throughtime.spec.errors.OptionError.
struct OptionProblem : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Fake and functional tensors of torch have a shape, and nothing behind it.
void check_memory(const char* name, const void* data, std::size_t size);
void check_dtype(const char* name, nb::dlpack::dtype found, nb::dlpack::dtype wanted);
// `what` names the axes, as in "(seq_len, batch, input_size)". The last axis must be contiguous, unless it has one element;
// with `whole`, all of them.
void check_shape(const char* name, const char* what, std::size_t ndim, const std::int64_t* shape, const std::int64_t* stride,
                 std::initializer_list<i64> wanted, bool whole);

template <class T, class Array>
auto checked(const char* name, const char* what, const Array& array, std::initializer_list<i64> wanted, bool whole = false) {
    check_dtype(name, array.dtype(), nb::dtype<T>());
    check_shape(name, what, array.ndim(), array.shape_ptr(), array.stride_ptr(), wanted, whole);
    check_memory(name, array.data(), array.size());
    using Pointer = std::conditional_t<std::is_same_v<Array, Input>, const T*, T*>;
    return static_cast<Pointer>(array.data());
}

}  // namespace throughtime
