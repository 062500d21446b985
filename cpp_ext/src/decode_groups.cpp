#include "decode_groups.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <system_error>
#include <thread>

namespace emer {

Shares share_out(const std::vector<Range>& ranges, const std::vector<std::size_t>& costs, int threads) {
    const std::size_t count = std::min(ranges.size(), static_cast<std::size_t>(std::max(1, threads)));
    std::vector<std::size_t> order(ranges.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
    Shares shares;
    shares.of.resize(count);
    std::vector<std::size_t> loads(count, 0);
    for (const std::size_t number : order) {
        const auto least = static_cast<std::size_t>(std::min_element(loads.begin(), loads.end()) - loads.begin());
        shares.of[least].push_back(ranges[number]);
        loads[least] += std::max<std::size_t>(1, costs[number]);
        shares.heaviest = std::max(shares.heaviest, loads[least]);
    }
    return shares;
}

void side_by_side(std::size_t shares, const std::function<void(std::size_t)>& work) {
    std::vector<std::exception_ptr> thrown(shares);
    const auto guarded = [&](std::size_t share) {
        try {
            work(share);
        } catch (...) {
            thrown[share] = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    threads.reserve(shares);
    std::size_t begun = 1;  // the caller's thread takes the first share
    try {
        for (; begun < shares; ++begun) threads.emplace_back(guarded, begun);
    } catch (const std::system_error&) {
        // No more threads are to be had: the caller does what is left.
    }
    if (shares > 0) guarded(0);
    for (std::size_t share = begun; share < shares; ++share) guarded(share);
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : thrown) {
        if (error) std::rethrow_exception(error);
    }
}

}  // namespace emer
