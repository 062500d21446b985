// The media functions of a build without libav: each says so. PyAV then does the work.
#if !defined(EMER_HAVE_LIBAV)

#include "emer/decode.h"
#include "emer/error.h"
#include "emer/media.h"

namespace emer {

namespace {

[[noreturn]] void refuse() {
    throw Error(Kind::unsupported_media, "This build of emer-edge has no native decoder.",
                "libav's development files were not there when it was built.");
}

}  // namespace

DecodeBackend decode_backend() { return {}; }

MediaInfo probe_media(const std::string&, const MediaLimits&, const CancelToken*) { refuse(); }

FrameResult decode_frames(const std::string&, const FrameRequest&, const MediaLimits&, const CancelToken*) { refuse(); }

AudioResult decode_audio(const std::string&, const AudioRequest&, const MediaLimits&, const CancelToken*) { refuse(); }

std::vector<SubtitleCue> read_subtitles(const std::string&, int, const MediaLimits&, const CancelToken*) { refuse(); }

std::vector<float> resample_mono(const float*, std::size_t, int, int) { refuse(); }

}  // namespace emer

#endif
