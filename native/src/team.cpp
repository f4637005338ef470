#include "team.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace throughtime {
namespace {

// Cycles, roughly, on the cores of the day: two vector products a cycle from registers; so many bytes a cycle from the
// second cache, and from the third; a barrier of threads on different cores. They need not be right, only in
// proportion.
constexpr double kProductsACycle = 2.0;
constexpr double kNearBytes = 40.0;
constexpr double kFarBytes = 10.0;
constexpr double kBarrier = 600.0;
constexpr double kStart = 15000.0;  // of threads, and a wait for the last

// Weights that one core's second cache can hold beside the states.
double near_cache() {
    static const double bytes = [] {
        const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
        return 0.75 * static_cast<double>(size > 0 ? size : 1L << 20);
    }();
    return bytes;
}

// A step of one thread: the first tile of each panel may wait for its weights, the others find them in the second cache.
double step_cycles(const Sweep& s, double rows, double panels) {
    const double tiles = std::ceil(rows / s.tile_rows);
    const double products = rows / tiles * s.tile_vectors / kProductsACycle;
    const double bytes = s.tile_vectors * static_cast<double>(s.vector_bytes);
    const bool far = static_cast<double>(s.weight_bytes) * panels / static_cast<double>(s.panels) > near_cache();
    const double first = std::max(products, bytes / (far ? kFarBytes : kNearBytes));
    const double others = (tiles - 1.0) * std::max(products, bytes / kNearBytes);
    return panels * static_cast<double>(s.k) * (first + others);
}

}  // namespace

bool splits_by_units(const Sweep& s, int members) {
    if (members == 1 || s.panels < members) return false;
    if (s.variant) return s.batch == 1;
    if (s.batch < members) return true;
    const auto batch = static_cast<double>(s.batch), panels = static_cast<double>(s.panels);
    const double by_rows = step_cycles(s, std::ceil(batch / members), panels);
    const double by_units = step_cycles(s, batch, std::ceil(panels / members)) + kBarrier;
    return by_units < by_rows;
}

Share share_of(int thread, int threads, int directions, const Sweep& sweep) {
    Share share{0, directions, thread, threads, false, 0, 1};
    if (directions == 2 && threads > 1) {
        const int half = threads / 2;
        const bool second = thread >= half;
        share = {second ? 1 : 0, second ? 2 : 1, second ? thread - half : thread, second ? threads - half : half, false, 0, 1};
    }
    share.by_units = splits_by_units(sweep, share.members);
    if (!share.by_units) {
        share.first_rank = share.member;
        share.rank_step = share.members;
    }
    return share;
}

i64 row_blocks(const Share& share, const Sweep& sweep, i64 row_bytes) {
    if (share.by_units || static_cast<double>(sweep.weight_bytes) > near_cache() / 2) return 1;
    const i64 rows = share.rows(sweep.batch);
    const auto bytes = static_cast<double>(rows * row_bytes);
    return std::max<i64>(1, std::min<i64>(rows / sweep.tile_rows, static_cast<i64>(std::ceil(bytes / (near_cache() / 3)))));
}

int useful_threads(int threads, int directions, const Sweep& sweep) {
    const auto steps = static_cast<double>(sweep.steps * directions);
    if (steps * step_cycles(sweep, static_cast<double>(sweep.batch), static_cast<double>(sweep.panels)) < kStart) return 1;
    return static_cast<int>(std::min<i64>(threads, directions * std::max(sweep.batch, sweep.panels)));
}

}  // namespace throughtime
