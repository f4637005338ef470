// Assertions of the core's tests: a failure is counted and reported, and the program goes on.
#pragma once

#include <cstdio>

namespace throughtime::tests {

inline int failures = 0;

// What is being run, for the report; printf's arguments.
inline char context[256] = "";

}  // namespace throughtime::tests

#define CHECK(condition, ...)                                                                                  \
    do {                                                                                                       \
        if (!(condition)) {                                                                                    \
            if (++::throughtime::tests::failures <= 20) {                                                      \
                std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, ::throughtime::tests::context);        \
                std::fprintf(stderr, __VA_ARGS__);                                                             \
                std::fputc('\n', stderr);                                                                      \
            }                                                                                                  \
        }                                                                                                      \
    } while (false)
