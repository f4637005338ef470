// Memory for the time of one call, kept for the next call of the same thread: a fresh page costs more than a step.
#pragma once

#include <cstddef>

#include "throughtime/layer.h"

namespace throughtime {

// Hands out 64-byte aligned pieces of one block. Take sizes first (`reserve`), then pieces.
class Workspace {
public:
    Workspace() = default;
    ~Workspace();
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    // A block of the calling thread, of at least `bytes`. Throws std::bad_alloc. Two are kept; use nested deeper than that, like a
    // large one, gets a block of its own.
    void reserve(std::size_t bytes);

    template <class T>
    THROUGHTIME_INLINE T* take(i64 count) {
        T* const piece = reinterpret_cast<T*>(at_);
        at_ += size_of<T>(count);
        return piece;
    }

    // What take<T>(count) uses up.
    template <class T>
    static THROUGHTIME_INLINE constexpr std::size_t size_of(i64 count) {
        return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    }

private:
    char* block_ = nullptr;
    char* at_ = nullptr;
    bool* in_use_ = nullptr;  // of the kept block; null: its own
};

}  // namespace throughtime
