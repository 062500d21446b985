// The packets of one stream, numbered as stored: the index of them, and each again on demand.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "decode_nal.h"
#include "decode_plan.h"
#include "media_open.h"

namespace emer::libav {

// Keeps the packets of ordinary clips; a large clip is opened and read again instead.
class PacketReel {
public:
    PacketReel(MediaFile& file, int stream_index, std::size_t most_kept_bytes, const MediaLimits& limits,
               const Watch& watch);

    // Packets that carry data, as the demuxer gave them. Time stamps are checked by the caller.
    std::vector<IndexEntry>& index() { return index_; }
    const std::vector<IndexEntry>& index() const { return index_; }
    std::int64_t damaged() const { return damaged_; }

    // Null when the packet can't be read again. Valid until the next call; where all packets are in memory, to
    // the end, and for any number of threads.
    const AVPacket* at(std::size_t number);
    bool in_memory() const { return keeping_; }

private:
    void add(const AVPacket& packet, BitstreamReader& reader);
    bool advance();

    const MediaLimits& limits_;
    const Watch& watch_;
    std::string path_;
    int stream_index_;
    std::vector<IndexEntry> index_;
    std::vector<Packet> kept_;
    std::size_t most_kept_bytes_;
    std::size_t kept_bytes_ = 0;
    bool keeping_ = true;
    std::int64_t damaged_ = 0;
    std::unique_ptr<MediaFile> again_;
    Packet current_;
    std::size_t next_ = 0;  // number of the packet that `again_` gives next
};

}  // namespace emer::libav
