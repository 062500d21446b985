// One decoder, fed with ranges of packets; the frames that come out are handed on. One thread.
#pragma once

#include <functional>

#include "decode_reel.h"
#include "media_codecs.h"

namespace emer::libav {

class DecodePass {
public:
    using Take = std::function<void(const AVFrame&)>;
    using Skip = std::function<bool(const IndexEntry&)>;

    DecodePass(const AVStream& stream, const CodecOptions& options, const Watch& watch, Take take);

    // Decodes the packets of a range that `skip` leaves, to the last frame. Throws Error(limit | cancelled).
    void run(PacketReel& reel, Range range, const Skip& skip);

    std::int64_t errors() const { return errors_; }    // damaged packets and frames
    std::int64_t packets() const { return packets_; }  // that the decoder was given

private:
    void send(const AVPacket* packet);
    void receive();

    const Watch& watch_;
    Take take_;
    Codec codec_;
    Frame frame_;
    std::int64_t errors_ = 0;
    std::int64_t packets_ = 0;
};

}  // namespace emer::libav
