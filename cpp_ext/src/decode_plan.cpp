#include "decode_plan.h"

#include <algorithm>
#include <cmath>

namespace emer {

namespace {

struct Shown {
    std::int64_t pts;
    std::size_t packet;
};

std::vector<Shown> by_time(const std::vector<IndexEntry>& index) {
    std::vector<Shown> shown;
    for (std::size_t i = 0; i < index.size(); ++i) {
        if (index[i].shown) shown.push_back({index[i].pts, i});
    }
    std::sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) { return a.pts < b.pts; });
    return shown;
}

// Ordinals of the frames that uniform_index samples.
std::vector<std::int64_t> uniform(std::int64_t frames, int count) {
    std::vector<std::int64_t> ordinals(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        ordinals[i] = frames >= count ? i * frames / count : std::min<std::int64_t>(i, frames - 1);
    }
    return ordinals;
}

// How long the last frame is shown: as it says, else as long as the median frame.
double last_duration(const std::vector<IndexEntry>& index, const std::vector<Shown>& shown) {
    const std::int32_t declared = index[shown.back().packet].duration;
    if (declared > 0) return declared;
    if (shown.size() < 2) return 1.0;
    std::vector<std::int64_t> steps;
    for (std::size_t i = 1; i < shown.size(); ++i) steps.push_back(shown[i].pts - shown[i - 1].pts);
    std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
    return static_cast<double>(steps[steps.size() / 2]);
}

std::vector<std::int64_t> midpoints(const std::vector<IndexEntry>& index, const std::vector<Shown>& shown, int count) {
    const auto begin = static_cast<double>(shown.front().pts);
    const double length = static_cast<double>(shown.back().pts) + last_duration(index, shown) - begin;
    std::vector<std::int64_t> ordinals(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        const double time = begin + (i + 0.5) / count * length;
        const auto after = std::upper_bound(shown.begin(), shown.end(), time,
                                            [](double t, const Shown& s) { return t < static_cast<double>(s.pts); });
        ordinals[i] = std::max<std::int64_t>(0, after - shown.begin() - 1);
    }
    return ordinals;
}

// One target for each different ordinal, the ordinals being sorted.
std::vector<Target> gather(const std::vector<std::int64_t>& ordinals) {
    std::vector<Target> targets;
    for (std::size_t slot = 0; slot < ordinals.size(); ++slot) {
        if (targets.empty() || targets.back().key != ordinals[slot]) {
            targets.emplace_back();
            targets.back().key = ordinals[slot];
        }
        targets.back().slots.push_back(static_cast<int>(slot));
    }
    return targets;
}

int padding(std::int64_t frames, int count) {
    return frames < count ? static_cast<int>(count - frames) : 0;
}

}  // namespace

bool stamps_are_unique(const std::vector<IndexEntry>& index) {
    std::vector<std::int64_t> stamps;
    stamps.reserve(index.size());
    for (const IndexEntry& entry : index) {
        if (!entry.shown) continue;
        if (!entry.has_pts) return false;
        stamps.push_back(entry.pts);
    }
    std::sort(stamps.begin(), stamps.end());
    return std::adjacent_find(stamps.begin(), stamps.end()) == stamps.end();
}

int reorder_depth(const std::vector<IndexEntry>& index) {
    constexpr std::size_t window = 32;  // no codec here reorders further than 16
    int depth = 0;
    for (std::size_t i = 0; i < index.size(); ++i) {
        int later = 0;
        for (std::size_t k = i > window ? i - window : 0; k < i; ++k) {
            if (index[k].has_pts && index[i].has_pts && index[k].pts > index[i].pts) ++later;
        }
        depth = std::max(depth, later);
    }
    return depth;
}

void settle_droppable(std::vector<IndexEntry>& index) {
    std::int8_t highest = 0;
    bool damaged = false;
    for (const IndexEntry& entry : index) {
        highest = std::max(highest, entry.layer);
        damaged = damaged || entry.damaged;
    }
    for (IndexEntry& entry : index) {
        entry.droppable = entry.droppable && !damaged && !entry.random_access && entry.layer == highest;
    }
}

Plan plan_by_pts(const std::vector<IndexEntry>& index, const FrameRequest& request) {
    const std::vector<Shown> shown = by_time(index);
    Plan plan;
    plan.by_pts = true;
    plan.frames = static_cast<std::int64_t>(shown.size());
    if (shown.empty()) return plan;
    plan.padded = padding(plan.frames, request.count);
    plan.targets = gather(request.rule == FrameRule::uniform_index ? uniform(plan.frames, request.count)
                                                                   : midpoints(index, shown, request.count));
    for (Target& target : plan.targets) {
        const Shown& at = shown[static_cast<std::size_t>(target.key)];
        target.key = at.pts;
        target.packet = at.packet;
    }
    return plan;
}

Plan plan_by_count(std::int64_t frames, const FrameRequest& request) {
    Plan plan;
    plan.frames = frames;
    if (frames < 1) return plan;
    plan.padded = padding(frames, request.count);
    if (request.rule == FrameRule::uniform_index) {
        plan.targets = gather(uniform(frames, request.count));
        return plan;
    }
    std::vector<std::int64_t> ordinals;
    for (int i = 0; i < request.count; ++i) {
        ordinals.push_back(static_cast<std::int64_t>((i + 0.5) / request.count * static_cast<double>(frames)));
    }
    plan.targets = gather(ordinals);
    return plan;
}

std::vector<Range> plan_ranges(const std::vector<IndexEntry>& index, const std::vector<Target>& targets, int back) {
    std::vector<std::size_t> points;
    for (std::size_t i = 0; i < index.size(); ++i) {
        if (index[i].random_access && index[i].has_pts) points.push_back(i);
    }
    std::vector<Range> ranges;
    for (const Target& target : targets) {
        if (target.written) continue;
        // The last point stored before the target and not shown after it; leading pictures belong to the one before.
        std::size_t chosen = points.size();
        for (std::size_t p = 0; p < points.size() && points[p] <= target.packet; ++p) {
            if (index[points[p]].pts <= target.key) chosen = p;
        }
        const auto steps = static_cast<std::size_t>(back);
        const bool found = chosen < points.size() && chosen >= steps;
        ranges.push_back({found ? points[chosen - steps] : 0, target.packet + 1});
    }
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    std::vector<Range> merged;
    for (const Range& range : ranges) {
        if (!merged.empty() && range.begin <= merged.back().end) {
            merged.back().end = std::max(merged.back().end, range.end);
        } else {
            merged.push_back(range);
        }
    }
    return merged;
}

}  // namespace emer
