// Reads just enough of AV1 to know which frames no other frame refers to.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emer {

// What a sequence header says about the frame headers that follow.
struct Av1Sequence {
    bool known = false;          // false: none was found, or it uses what is not read here
    int force_screen_tools = 2;  // 2: each frame says so
    int force_integer_mv = 2;
    int frame_id_bits = 0;
    int order_hint_bits = 0;

    // `extradata`: the stream's av1C record (AV1-ISOBMFF 2.3.3).
    static Av1Sequence from_config(const std::uint8_t* extradata, std::size_t size);
};

// True when no frame of the packet is kept for reference. A sequence header in it, which encoders are known to
// write otherwise than into av1C, replaces `sequence`: packets are read in stored order.
bool is_droppable_av1(Av1Sequence& sequence, const std::uint8_t* data, std::size_t size);

}  // namespace emer
