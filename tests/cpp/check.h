// A check that prints where it failed and is counted; main() returns emer::test::failures().
#pragma once

#include <cstdio>

namespace emer::test {

inline int& failures() {
    static int count = 0;
    return count;
}

}  // namespace emer::test

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            ++emer::test::failures();                                               \
        }                                                                           \
    } while (0)

#define CHECK_THROWS(expression)                                                    \
    do {                                                                            \
        bool thrown = false;                                                        \
        try {                                                                       \
            (void)(expression);                                                     \
        } catch (const std::exception&) {                                           \
            thrown = true;                                                          \
        }                                                                           \
        if (!thrown) {                                                              \
            std::fprintf(stderr, "%s:%d: no throw: %s\n", __FILE__, __LINE__, #expression); \
            ++emer::test::failures();                                               \
        }                                                                           \
    } while (0)
