// Which containers and codecs are opened at all, and with which decoder.
#pragma once

#include "media_libav.h"

namespace emer::libav {

// Comma-separated demuxer names, as libavformat's format_whitelist takes them. No playlist format is in it.
extern const char* const kContainers;

bool codec_allowed(AVCodecID id);
bool is_text_subtitle(AVCodecID id);

// Null where this libav has none that works without special hardware.
const AVCodec* find_decoder(AVCodecID id);

// Empty when the stream can be decoded, otherwise why it can't.
std::string refusal(const AVCodecParameters& parameters);

struct CodecOptions {
    std::int64_t max_pixels = 0;
    int threads = 1;
    int reorder_depth = 0;  // frames that may be shown later than they are stored, where that is known
};

// Throws Error(unsupported_media | media).
Codec open_decoder(const AVStream& stream, const CodecOptions& options);

}  // namespace emer::libav
