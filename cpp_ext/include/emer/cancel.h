// A flag that one thread raises and working threads poll. Any number of threads may enter.
#pragma once

#include <atomic>

namespace emer {

class CancelToken {
public:
    void cancel() noexcept { flag_.store(true, std::memory_order_relaxed); }
    bool cancelled() const noexcept { return flag_.load(std::memory_order_relaxed); }

private:
    std::atomic<bool> flag_{false};
};

}  // namespace emer
