// What a clip holds: container, streams, duration, and the ceilings every read obeys. Opens one regular file
// and nothing else: no network, no playlist, no second file. Every function may be entered by many threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emer/cancel.h"

namespace emer {

// The ceilings of emer_edge.limits that reading a clip can meet, by the same names.
struct MediaLimits {
    std::int64_t file_bytes = std::int64_t{2} << 30;
    double clip_seconds = 3600.0;
    std::int64_t pixels = 4096LL * 4096;
    std::int64_t streams = 32;
    std::int64_t frames = 64;
    std::int64_t packets = 2'000'000;
    double decode_seconds = 60.0;
    double audio_seconds = 3600.0;
    std::int64_t subtitle_bytes = 1 << 20;
    std::int64_t subtitle_cues = 5'000;
};

struct VideoInfo {
    int index = -1;
    std::string codec;
    int width = 0;  // as stored, before rotation
    int height = 0;
    double fps = 0.0;          // 0 unknown
    std::int64_t frames = -1;  // as the container declares; -1 unknown
    int rotation = 0;          // degrees clockwise that make the picture upright
    std::string pixel_format;
};

struct AudioInfo {
    int index = -1;
    std::string codec;
    int sample_rate = 0;
    int channels = 0;
};

struct SubtitleInfo {
    int index = -1;
    std::string codec;
    std::string language;
    bool is_text = false;
};

struct MediaInfo {
    std::string container;
    std::int64_t size_bytes = 0;
    double duration_seconds = 0.0;  // 0 unknown
    int streams = 0;
    VideoInfo video;  // index -1: none
    AudioInfo audio;
    std::vector<SubtitleInfo> subtitles;
    std::vector<std::string> refusals;  // why a stream that is there can't be used
    std::vector<std::string> lacking_decoders;  // codecs that are accepted, but not decoded by this libav
};

struct DecodeBackend {
    bool have_libav = false;
    std::string libavcodec;
    std::string licence;
};

DecodeBackend decode_backend();

// Throws Error: input (not a regular file), media (not a clip), unsupported_media, limit, cancelled.
MediaInfo probe_media(const std::string& path, const MediaLimits& limits, const CancelToken* cancel = nullptr);

}  // namespace emer
