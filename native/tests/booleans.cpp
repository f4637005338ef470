// draw_booleans: the same bytes on any number of threads, only 0 and 1, about as many as asked for, and none behind the end.
#include "throughtime/booleans.h"

#include <algorithm>
#include <vector>

#include "check.h"
#include "tests.h"

namespace throughtime::tests {

void test_booleans() {
    constexpr std::uint8_t untouched = 7;
    for (i64 count : {0, 1, 3, 4, 5, 17, 65535, 65536, 200001}) {
        for (int level : {-32768, 0, 32767}) {
            std::snprintf(context, sizeof context, "%d booleans, level %d", static_cast<int>(count), level);
            std::vector<std::uint8_t> one(static_cast<std::size_t>(count) + 1, untouched), two = one;
            draw_booleans(0xfedcba9876543210, level, count, one.data(), 1);
            draw_booleans(0xfedcba9876543210, level, count, two.data(), 2);
            CHECK(one == two, "two threads draw others");
            CHECK(one.back() == untouched, "written behind the end");
            one.pop_back();
            CHECK(std::all_of(one.begin(), one.end(), [](std::uint8_t b) { return b <= 1; }), "no boolean");
            const auto set = std::count(one.begin(), one.end(), 1);
            if (level == -32768) CHECK(set == 0, "%d of probability 0", static_cast<int>(set));
            if (level == 0 && count > 60000) {
                CHECK(set > 0.48 * static_cast<double>(count) && set < 0.52 * static_cast<double>(count), "%d", static_cast<int>(set));
            }
        }
    }
    // SplitMix64's first output from the state 0 is that of the state one step later: 0xe220a8397b1dcdaf.
    std::uint8_t low[4];
    draw_booleans(0x9e3779b97f4a7c15, 0, 4, low, 1);
    CHECK(low[0] == 1 && low[1] == 0 && low[2] == 1 && low[3] == 1, "not SplitMix64: %d %d %d %d", low[0], low[1], low[2], low[3]);
}

}  // namespace throughtime::tests
