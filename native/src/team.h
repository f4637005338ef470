// How the threads of one call share a layer's sweep through time.
//
// Directions go to different threads first: they never wait for each other. Within a direction there are two ways. *By
// rows*: each thread runs its own sequences from the first step to the last, with no barrier. *By units*: each thread
// computes some of the hidden units of all sequences, reads its share of the weights only, and waits for the others at
// each step. (A variant's threads share products only: variant_forward.inl.)
#pragma once

#include "threads.h"
#include "throughtime/layer.h"

namespace throughtime {

struct Share {
    int first_direction, last_direction;  // of the layer: [first, last)
    int member, members;                  // among the threads of these directions
    bool by_units;
    // By rows: one rank of every rank_step, the first_rank-th of these and the first_rank-th from their end in turn. Lengths fall
    // with the rank: were it always the same one, the first thread would have the longest of each and the others wait for it.
    i64 first_rank, rank_step;
    // Of these rows every blocks-th, from `block` on: a part that goes through time by itself. Threads may have different
    // numbers of blocks, so their rows do not depend on them.
    i64 block = 0, blocks = 1;

    THROUGHTIME_INLINE i64 rank(i64 row) const { return rank_of_all(block + row * blocks); }
    // Of the first `ranks` ranks, those that are this share's.
    THROUGHTIME_INLINE i64 rows(i64 ranks) const {
        const i64 all = rows_of_all(ranks);
        return all <= block ? 0 : (all - block + blocks - 1) / blocks;
    }

private:
    THROUGHTIME_INLINE i64 place(i64 row) const { return row % 2 == 0 ? first_rank : rank_step - 1 - first_rank; }
    THROUGHTIME_INLINE i64 rank_of_all(i64 row) const { return row * rank_step + place(row); }
    THROUGHTIME_INLINE i64 rows_of_all(i64 ranks) const {
        const i64 whole = ranks / rank_step;
        return whole + (place(whole) < ranks % rank_step ? 1 : 0);
    }
};

// What decides between the two ways, for one direction.
struct Sweep {
    i64 batch;
    i64 panels;         // that can be shared out by units
    int tile_rows;      // of the largest tile
    int tile_vectors;   // a row of it
    i64 vector_bytes;
    i64 weight_bytes;   // that each step reads
    i64 k;              // length of the inner loop
    i64 steps;
    bool variant = false;  // its passes go over whole rows, which no thread shares: units are shared for the product of a row alone
};

bool splits_by_units(const Sweep& sweep, int members);

// The share of `thread` of `threads` in a layer with `directions`.
Share share_of(int thread, int threads, int directions, const Sweep& sweep);

// Into how many parts a share's rows are cut, that go through time one after the other: so many that what a step of a part
// touches, row_bytes a row, stays in the second cache. One where the weights do not.
i64 row_blocks(const Share& share, const Sweep& sweep, i64 row_bytes);

// Threads worth starting: no more than there are rows or panels to share, and one for what takes a few microseconds.
int useful_threads(int threads, int directions, const Sweep& sweep);

}  // namespace throughtime
