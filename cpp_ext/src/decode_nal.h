// Reads just enough of a compressed packet to know whether decoding may start or end without it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "decode_av1.h"

namespace emer {

enum class Bitstream { other, h264, hevc, mpeg12, mpeg4, vp8, av1 };

struct PacketTraits {
    bool random_access = false;  // decoding may start here
    bool droppable = false;      // no other packet needs it
    bool hidden = false;         // gives no picture
    int layer = 0;               // temporal layer (HEVC)
};

// How the packets of one stream are read.
struct BitstreamReader {
    Bitstream kind = Bitstream::other;
    int length_bytes = 0;  // of the size before each NAL unit; 0: start codes
    Av1Sequence sequence;  // the latest

    // `extradata`: the stream's configuration record, may be null.
    static BitstreamReader make(Bitstream kind, const std::uint8_t* extradata, std::size_t size);

    // Packets in stored order. `key`: the container's key flag. Whatever can't be parsed is neither droppable nor hidden.
    PacketTraits read(const std::uint8_t* data, std::size_t size, bool key);
};

}  // namespace emer
