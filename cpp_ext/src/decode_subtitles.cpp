#if defined(EMER_HAVE_LIBAV)

#include <algorithm>
#include <cstring>
#include <string>

#include "emer/decode.h"
#include "emer/error.h"
#include "media_codecs.h"
#include "media_open.h"

namespace emer {

namespace {

using namespace libav;

// The text of an ASS event as libavcodec gives every text subtitle: the ninth field, without {overrides}.
std::string dialogue_text(const char* ass) {
    const char* at = ass;
    for (int commas = 0; commas < 8 && *at != '\0'; ++at) {
        if (*at == ',') ++commas;
    }
    std::string text;
    for (; *at != '\0'; ++at) {
        const char* close = *at == '{' ? std::strchr(at, '}') : nullptr;
        if (close != nullptr) {
            at = close;  // a group of overrides; an open brace without its end is text
        } else if (at[0] == '\\' && (at[1] == 'N' || at[1] == 'n')) {
            text += '\n';
            ++at;
        } else if (at[0] == '\\' && at[1] == 'h') {
            text += ' ';
            ++at;
        } else {
            text += *at;
        }
    }
    const char* blank = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blank);
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

struct Subtitle {
    AVSubtitle value{};
    Subtitle() = default;
    Subtitle(const Subtitle&) = delete;
    Subtitle& operator=(const Subtitle&) = delete;
    ~Subtitle() { avsubtitle_free(&value); }

    std::string text() const {
        std::string all;
        for (unsigned i = 0; i < value.num_rects; ++i) {
            const AVSubtitleRect& rect = *value.rects[i];
            const std::string line = rect.ass != nullptr ? dialogue_text(rect.ass) : rect.text != nullptr ? rect.text : "";
            if (line.empty()) continue;
            if (!all.empty()) all += '\n';
            all += line;
        }
        return all;
    }
};

void check_stream(const MediaFile& file, int stream_index) {
    const AVFormatContext& format = file.format();
    if (stream_index < 0 || stream_index >= static_cast<int>(format.nb_streams)) {
        throw Error(Kind::input, file.path() + " has no stream " + std::to_string(stream_index) + ".");
    }
    const AVCodecParameters& parameters = *format.streams[stream_index]->codecpar;
    if (parameters.codec_type != AVMEDIA_TYPE_SUBTITLE) {
        throw Error(Kind::input, file.path() + ": stream " + std::to_string(stream_index) + " is no subtitle.");
    }
    if (!is_text_subtitle(parameters.codec_id)) {
        throw Error(Kind::unsupported_media, file.path() + ": stream " + std::to_string(stream_index) + " is not a text subtitle.",
                    avcodec_get_name(parameters.codec_id));
    }
}

}  // namespace

std::vector<SubtitleCue> read_subtitles(const std::string& path, int stream_index, const MediaLimits& limits,
                                        const CancelToken* cancel) {
    const Watch watch(limits, cancel);
    watch.check();
    MediaFile file(path, limits, watch);
    file.complete_streams(false);
    check_stream(file, stream_index);
    const AVStream& stream = *file.format().streams[stream_index];
    const Codec codec = open_decoder(stream, {limits.pixels, 1, 0});
    file.only(stream_index);
    std::vector<SubtitleCue> cues;
    std::int64_t bytes = 0;
    const double unit = av_q2d(stream.time_base);
    const Packet packet = make_packet();
    for (; file.read(*packet); av_packet_unref(packet.get())) {
        Subtitle subtitle;
        int got = 0;
        if (avcodec_decode_subtitle2(codec.get(), &subtitle.value, &got, packet.get()) < 0 || got == 0) continue;
        SubtitleCue cue;
        cue.text = subtitle.text();
        if (cue.text.empty() || packet->pts == AV_NOPTS_VALUE) continue;
        const double start = static_cast<double>(packet->pts) * unit - file.zero_seconds();
        cue.start_seconds = start + subtitle.value.start_display_time / 1000.0;
        cue.end_seconds = start + static_cast<double>(std::max<std::int64_t>(0, packet->duration)) * unit;
        if (packet->duration <= 0 && subtitle.value.end_display_time != UINT32_MAX) {
            cue.end_seconds = start + subtitle.value.end_display_time / 1000.0;
        }
        bytes += static_cast<std::int64_t>(cue.text.size());
        cues.push_back(std::move(cue));
        if (bytes > limits.subtitle_bytes || static_cast<std::int64_t>(cues.size()) > limits.subtitle_cues) {
            throw Error(Kind::limit, path + " holds more subtitles than Limits.subtitle_bytes and subtitle_cues allow.");
        }
    }
    return cues;
}

}  // namespace emer

#endif
