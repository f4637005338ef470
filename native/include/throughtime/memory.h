// Large pieces of memory that outlive a call: what a layer saves for its backward pass, gradients of gates, and results.
//
// A fresh page costs more than the work on it, and a training step needs the same sizes as the one before. So a piece that
// is given back is kept for the next that fits, as allocators for GPUs do. A piece may be larger than what was asked for;
// counted in pieces, what is in use and what is kept are, of each purpose, together never more than what once was in use at
// the same time and kMostBeside: batches of text differ in size, and without that a large piece makes way for a small one, and
// that for the large one again. (64 KB of addresses a piece, of which some are touched, are not counted.)
#pragma once

#include <cstddef>

namespace throughtime {

enum class Purpose {
    step,    // inside of a training step
    result,  // a caller may gather any number of these: no more than kMostResults is kept of them
};
constexpr std::size_t kMostResults = std::size_t{256} << 20;
constexpr std::size_t kMostBeside = std::size_t{32} << 20;

struct MemoryUse {
    std::size_t used, kept, most_used;  // bytes, of whole pieces, of both purposes; most_used: the sum of the most of each
    std::size_t mappings;               // pieces that came from the system so far
};

// At least `bytes` of uninitialised memory. Throws std::bad_alloc. Any thread may take and give back.
void* take_memory(std::size_t bytes, Purpose purpose);
void give_memory_back(void* memory, Purpose purpose);

// Gives what is kept to the system; what is used now counts as the most that was.
void release_memory();
MemoryUse memory_use();

}  // namespace throughtime
