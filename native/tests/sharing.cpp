// How a sweep's sequences are shared out among threads.
#include <algorithm>
#include <vector>

#include "check.h"
#include "team.h"
#include "tests.h"

namespace throughtime::tests {
namespace {

// With a single panel no units can be shared out.
Sweep sweep_of(i64 batch) { return {batch, 1, 6, 4, 64, 1 << 18, 128, 100}; }

// more_blocks: one thread one, the next two, then three, one, …
void each_rank_has_one_thread(i64 batch, int threads, bool more_blocks) {
    std::snprintf(context, sizeof context, "%d sequences, %d threads%s", static_cast<int>(batch), threads,
                  more_blocks ? ", in blocks" : "");
    std::vector<int> taken(static_cast<std::size_t>(batch), 0);
    i64 least = batch * batch, most = 0;
    for (int thread = 0; thread < threads; ++thread) {
        Share share = share_of(thread, threads, 1, sweep_of(batch));
        CHECK(!share.by_units, "by units");
        i64 length = 0;  // of the thread's sequences, where lengths fall by one a rank
        share.blocks = more_blocks ? thread % 3 + 1 : 1;
        for (share.block = 0; share.block < share.blocks; ++share.block) {
            for (i64 row = 0; row < share.rows(batch); ++row) {
                const i64 rank = share.rank(row);
                CHECK(rank >= 0 && rank < batch, "row %d has rank %d", static_cast<int>(row), static_cast<int>(rank));
                if (rank >= 0 && rank < batch) ++taken[static_cast<std::size_t>(rank)];
                length += batch - rank;
            }
            for (i64 active = 0; active <= batch; ++active) {
                i64 expected = 0;
                for (i64 row = 0; row < share.rows(batch); ++row) expected += share.rank(row) < active ? 1 : 0;
                CHECK(share.rows(active) == expected, "of %d active ranks %d rows, not %d", static_cast<int>(active),
                      static_cast<int>(share.rows(active)), static_cast<int>(expected));
            }
        }
        least = std::min(least, length);
        most = std::max(most, length);
    }
    for (i64 rank = 0; rank < batch; ++rank) {
        CHECK(taken[static_cast<std::size_t>(rank)] == 1, "rank %d is taken %d times", static_cast<int>(rank), taken[static_cast<std::size_t>(rank)]);
    }
    if (batch % (2 * threads) == 0) CHECK(least == most, "steps from %d to %d", static_cast<int>(least), static_cast<int>(most));
}

}  // namespace

void test_sharing() {
    for (int threads = 2; threads <= 5; ++threads) {
        for (i64 batch = threads; batch <= 40; ++batch) {
            each_rank_has_one_thread(batch, threads, false);
            each_rank_has_one_thread(batch, threads, true);
        }
    }
}

}  // namespace throughtime::tests
