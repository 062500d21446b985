#if defined(EMER_HAVE_LIBAV)

#include "decode_reel.h"

#include <algorithm>
#include <limits>
#include <new>

#include "emer/error.h"

namespace emer::libav {

namespace {

constexpr std::size_t kKeptPackets = 100'000;

Bitstream bitstream(AVCodecID id) {
    switch (id) {
        case AV_CODEC_ID_H264: return Bitstream::h264;
        case AV_CODEC_ID_HEVC: return Bitstream::hevc;
        case AV_CODEC_ID_MPEG1VIDEO:
        case AV_CODEC_ID_MPEG2VIDEO: return Bitstream::mpeg12;
        case AV_CODEC_ID_MPEG4: return Bitstream::mpeg4;
        case AV_CODEC_ID_VP8: return Bitstream::vp8;
        case AV_CODEC_ID_AV1: return Bitstream::av1;
        default: return Bitstream::other;
    }
}

}  // namespace

PacketReel::PacketReel(MediaFile& file, int stream_index, std::size_t most_kept_bytes, const MediaLimits& limits,
                       const Watch& watch)
    : limits_(limits),
      watch_(watch),
      path_(file.path()),
      stream_index_(stream_index),
      most_kept_bytes_(most_kept_bytes),
      current_(make_packet()) {
    const AVStream& stream = *file.format().streams[stream_index];
    const AVCodecParameters& parameters = *stream.codecpar;
    BitstreamReader reader =
        BitstreamReader::make(bitstream(parameters.codec_id), parameters.extradata,
                              static_cast<std::size_t>(std::max(0, parameters.extradata_size)));
    file.only(stream_index);
    while (file.read(*current_)) {
        add(*current_, reader);
        av_packet_unref(current_.get());
    }
    damaged_ += file.damaged_reads();
    next_ = index_.size();
}

void PacketReel::add(const AVPacket& packet, BitstreamReader& reader) {
    if (packet.size <= 0) return;
    const PacketTraits traits =
        reader.read(packet.data, static_cast<std::size_t>(packet.size), (packet.flags & AV_PKT_FLAG_KEY) != 0);
    IndexEntry entry;
    entry.has_pts = packet.pts != AV_NOPTS_VALUE;
    entry.pts = entry.has_pts ? packet.pts : 0;
    entry.duration = static_cast<std::int32_t>(std::clamp<std::int64_t>(packet.duration, 0, std::numeric_limits<std::int32_t>::max()));
    entry.damaged = (packet.flags & AV_PKT_FLAG_CORRUPT) != 0;
    entry.shown = (packet.flags & AV_PKT_FLAG_DISCARD) == 0 && !traits.hidden;
    entry.random_access = traits.random_access && !entry.damaged;
    entry.droppable = traits.droppable;
    entry.layer = static_cast<std::int8_t>(traits.layer);
    if (entry.damaged) ++damaged_;
    index_.push_back(entry);
    if (!keeping_) return;
    kept_bytes_ += static_cast<std::size_t>(packet.size);
    if (kept_bytes_ > most_kept_bytes_ || kept_.size() >= kKeptPackets) {
        keeping_ = false;
        kept_.clear();
        kept_.shrink_to_fit();
        return;
    }
    kept_.emplace_back(av_packet_clone(&packet));
    if (!kept_.back()) throw std::bad_alloc();
}

bool PacketReel::advance() {
    do {
        av_packet_unref(current_.get());
        if (!again_->read(*current_)) return false;
    } while (current_->size <= 0);
    ++next_;
    return true;
}

const AVPacket* PacketReel::at(std::size_t number) {
    if (keeping_) return number < kept_.size() ? kept_[number].get() : nullptr;
    if (!again_ || number < next_) {
        again_ = std::make_unique<MediaFile>(path_, limits_, watch_);
        again_->complete_streams(false);
        if (stream_index_ >= static_cast<int>(again_->format().nb_streams)) {
            throw Error(Kind::media, path_ + " changed while it was read.");
        }
        again_->only(stream_index_);
        next_ = 0;
    }
    while (next_ <= number) {
        if (!advance()) return nullptr;
    }
    return current_.get();
}

}  // namespace emer::libav

#endif
