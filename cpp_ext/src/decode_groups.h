// Runs of packets that don't need each other, decoded side by side: one decoder on one thread for each share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "decode_plan.h"

namespace emer {

struct Shares {
    std::vector<std::vector<Range>> of;  // each thread's, none empty
    std::size_t heaviest = 0;            // cost of the largest

    std::size_t size() const { return of.size(); }
};

// The costliest range first, to the thread with least to do.
Shares share_out(const std::vector<Range>& ranges, const std::vector<std::size_t>& costs, int threads);

// Calls `work(share)` for each of `shares` numbers, each on a thread of its own, and waits for all of them.
// Rethrows what the first of them threw.
void side_by_side(std::size_t shares, const std::function<void(std::size_t)>& work);

}  // namespace emer
