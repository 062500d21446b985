// Sampled frames, mono sound and embedded subtitles of a clip. Memory is bounded by the limits, never by the
// clip: no decoded frame is kept. Every function may be entered by many threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emer/cancel.h"
#include "emer/image.h"
#include "emer/media.h"

namespace emer {

enum class FrameRule {
    uniform_index,  // frames floor(i * n / count) of n presentable frames; n < count: all, then the last again
    midpoint_time,  // the frame shown at (i + 0.5) / count of the video's duration
};

struct FrameRequest {
    FrameRule rule = FrameRule::uniform_index;
    int count = 8;
    OutputSpec output;
    int threads = 0;  // 0: chosen by size, at most 4
    std::size_t kept_bytes = std::size_t{48} << 20;  // of packets held in memory; a larger clip is read again instead
};

struct FrameResult {
    std::unique_ptr<std::uint8_t[]> pixels;  // [count, 3, size.height, size.width], every value written
    Size size;
    bool as_float = true;
    std::vector<double> pts_seconds;  // on the clip's clock, which the waveform shares
    Size source;                      // upright
    int rotation_degrees = 0;
    std::int64_t frames = 0;  // presentable frames of the clip
    int padded = 0;
    std::int64_t corrupt = 0;          // damaged packets, damaged frames, and samples replaced by a neighbour
    std::int64_t decoded_packets = 0;  // packets that the decoder was given
    int fallbacks = 0;                 // plans that did not give every sample
};

FrameResult decode_frames(const std::string& path, const FrameRequest& request, const MediaLimits& limits,
                          const CancelToken* cancel = nullptr);

struct AudioRequest {
    int sample_rate = 16'000;
    double max_seconds = 0.0;  // sound beyond it is not decoded; 0: all
};

struct AudioResult {
    std::vector<float> samples;  // mono: the mean of the channels
    int sample_rate = 0;
    double start_seconds = 0.0;  // of the first sample on the clip's clock; nothing is padded or trimmed
    std::int64_t corrupt = 0;
    bool truncated = false;  // max_seconds cut it
};

AudioResult decode_audio(const std::string& path, const AudioRequest& request, const MediaLimits& limits,
                         const CancelToken* cancel = nullptr);

// The same resampler for sound that is already in memory. Throws Error(input) for rates that make no sense.
std::vector<float> resample_mono(const float* samples, std::size_t count, int from_rate, int to_rate);

struct SubtitleCue {
    double start_seconds = 0.0;
    double end_seconds = 0.0;
    std::string text;  // UTF-8 as the file has it; not validated
};

std::vector<SubtitleCue> read_subtitles(const std::string& path, int stream_index, const MediaLimits& limits,
                                        const CancelToken* cancel = nullptr);

}  // namespace emer
