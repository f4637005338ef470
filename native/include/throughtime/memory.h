// Large pieces of memory that outlive a call: what a layer saves for its backward pass, and gradients of gates.
//
// A fresh page costs more than the work on it, and a training step needs the same sizes as the one before. So a piece that
// is given back is kept for the next that fits, as allocators for GPUs do. Pieces are whole huge pages, and one may be larger
// than what was asked for; counted in pieces, what is in use and what is kept are together never more than what once was in
// use at the same time.
#pragma once

#include <cstddef>

namespace throughtime {

struct MemoryUse {
    std::size_t used, kept, most_used;  // bytes, of whole pieces
    std::size_t mappings;               // pieces that came from the system so far
};

// At least `bytes` of uninitialised memory. Throws std::bad_alloc. Any thread may take and give back.
void* take_memory(std::size_t bytes);
void give_memory_back(void* memory);

// Gives what is kept to the system; what is used now counts as the most that was.
void release_memory();
MemoryUse memory_use();

}  // namespace throughtime
