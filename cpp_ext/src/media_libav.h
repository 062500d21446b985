// libav's handles as unique_ptr, and the differences between FFmpeg 4.4 and 8 in one place.
#pragma once

#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
}

namespace emer::libav {

template <auto Free>
struct Closer {
    template <typename T>
    void operator()(T* handle) const {
        Free(&handle);
    }
};

struct SwsCloser {
    void operator()(SwsContext* context) const { sws_freeContext(context); }
};

struct AvFreer {
    void operator()(void* memory) const { av_free(memory); }
};

using Packet = std::unique_ptr<AVPacket, Closer<av_packet_free>>;
using Frame = std::unique_ptr<AVFrame, Closer<av_frame_free>>;
using Codec = std::unique_ptr<AVCodecContext, Closer<avcodec_free_context>>;
using Resampler = std::unique_ptr<SwrContext, Closer<swr_free>>;
using Scaler = std::unique_ptr<SwsContext, SwsCloser>;
using Buffer = std::unique_ptr<std::uint8_t, AvFreer>;

Packet make_packet();
Frame make_frame();

// libav's own words for an error code.
std::string reason(int code);

// The display matrix of a stream (nine values), or null.
const std::int32_t* display_matrix(const AVStream& stream);

int channel_count(const AVCodecParameters& parameters);
int channel_count(const AVFrame& frame);

// How samples lie in memory.
struct SoundFormat {
    AVSampleFormat format = AV_SAMPLE_FMT_NONE;
    int sample_rate = 0;
    int channels = 0;
};

inline bool operator==(const SoundFormat& a, const SoundFormat& b) {
    return a.format == b.format && a.sample_rate == b.sample_rate && a.channels == b.channels;
}

// Rates and channel counts for which a resampler's memory is bounded.
bool can_resample(const SoundFormat& sound);

// To the mean of the channels, float32, at `sample_rate`. Throws Error(media) when libav refuses.
Resampler make_mono_resampler(const SoundFormat& sound, int sample_rate);

}  // namespace emer::libav
