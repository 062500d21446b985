// From an index of packets and a sampling rule to the packets that must be decoded. Knows no libav.
#pragma once

#include <cstdint>
#include <vector>

#include "emer/decode.h"

namespace emer {

// One packet of the video stream, in stored order.
struct IndexEntry {
    std::int64_t pts = 0;
    std::int32_t duration = 0;
    bool has_pts = false;
    bool random_access = false;
    bool droppable = false;
    bool shown = true;  // gives a picture that belongs to the presentation
    bool damaged = false;
    std::int8_t layer = 0;
};

// One frame to get, and where it goes.
struct Target {
    std::int64_t key = 0;      // presentation time stamp, or the count of the frame where stamps can't be trusted
    std::vector<int> slots;    // places in the output
    std::size_t packet = 0;    // that holds it
    bool written = false;
};

struct Range {
    std::size_t begin = 0;  // a random access point
    std::size_t end = 0;    // one past the last packet needed
};

struct Plan {
    bool by_pts = false;      // Target::key is a time stamp
    std::int64_t frames = 0;  // presentable frames
    int padded = 0;
    std::vector<Target> targets;  // in order of presentation, each key once
};

// True when every shown packet has a time stamp of its own.
bool stamps_are_unique(const std::vector<IndexEntry>& index);

// How many stored packets at most are shown after a later one.
int reorder_depth(const std::vector<IndexEntry>& index);

// Leaves only droppable what nothing in this clip can need: the highest temporal layer, in a clip without damage.
void settle_droppable(std::vector<IndexEntry>& index);

Plan plan_by_pts(const std::vector<IndexEntry>& index, const FrameRequest& request);
Plan plan_by_count(std::int64_t frames, const FrameRequest& request);

// Packets to decode for the unwritten targets, starting `back` random access points earlier than needed.
std::vector<Range> plan_ranges(const std::vector<IndexEntry>& index, const std::vector<Target>& targets, int back);

}  // namespace emer
