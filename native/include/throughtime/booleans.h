// Random booleans from one drawn number: what masks are made of.
#pragma once

#include <cstdint>

#include "throughtime/layer.h"

namespace throughtime {

// Writes `count` bytes, each 1 with probability (level + 2^15) / 2^16 and else 0; level in -2^15 .. 2^15 - 1. They are a function
// of `start` alone, which is to be drawn at random: word w is SplitMix64's output function (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014) of start + w * 0x9e3779b97f4a7c15, and gives four booleans, a piece of 16 bits each from
// its low end, which is true where it is below `level` as a signed number. nn/booleans.py has the same on torch operations.
void draw_booleans(std::uint64_t start, int level, i64 count, std::uint8_t* out, int threads);

}  // namespace throughtime
