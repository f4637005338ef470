#include "arrays.h"

namespace throughtime {
namespace {

std::string tuple(const i64* values, std::size_t count) {
    std::string text = "(";
    for (std::size_t i = 0; i < count; ++i) text += (i ? ", " : "") + std::to_string(values[i]);
    return text + (count == 1 ? ",)" : ")");
}

std::string dtype_name(nb::dlpack::dtype d) {
    using Code = nb::dlpack::dtype_code;
    const char* kind = d.code == static_cast<std::uint8_t>(Code::Float)    ? "float"
                       : d.code == static_cast<std::uint8_t>(Code::Int)    ? "int"
                       : d.code == static_cast<std::uint8_t>(Code::UInt)   ? "uint"
                       : d.code == static_cast<std::uint8_t>(Code::Bfloat) ? "bfloat"
                       : d.code == static_cast<std::uint8_t>(Code::Bool)   ? "bool"
                                                                           : "another type of bits ";
    return kind + std::to_string(d.bits);
}

}  // namespace

void check_memory(const char* name, const void* data, std::size_t size) {
    if (data != nullptr || size == 0) return;
    throw ShapeProblem(std::string(name) + " has a shape, but no values: it is a fake tensor or a wrapper of one; give a tensor "
                       "that has its own, or run under the mode that made it");
}

void check_dtype(const char* name, nb::dlpack::dtype found, nb::dlpack::dtype wanted) {
    if (found == wanted) return;
    throw OptionProblem(std::string(name) + " must have dtype " + dtype_name(wanted) + ", but has " + dtype_name(found));
}

void check_shape(const char* name, const char* what, std::size_t ndim, const i64* shape, const i64* stride,
                 std::initializer_list<i64> wanted, bool whole) {
    bool same = ndim == wanted.size();
    for (std::size_t i = 0; same && i < ndim; ++i) same = shape[i] == wanted.begin()[i];
    if (!same) {
        throw ShapeProblem(std::string(name) + " must have shape " + what + ", but " + tuple(shape, ndim) +
                           " != " + tuple(wanted.begin(), wanted.size()));
    }
    i64 expected = 1;
    for (std::size_t i = ndim; i-- > 0;) {
        if (shape[i] > 1 && stride[i] != expected) {
            throw ShapeProblem(std::string(name) + (whole ? " must be contiguous" : " must be contiguous along its last axis") +
                               ", but its strides are " + tuple(stride, ndim));
        }
        if (!whole) break;
        expected *= shape[i];
    }
}

}  // namespace throughtime
