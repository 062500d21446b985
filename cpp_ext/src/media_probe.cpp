#if defined(EMER_HAVE_LIBAV)

#include <cctype>
#include <cmath>
#include <string>

#include "decode_picture.h"
#include "emer/media.h"
#include "media_codecs.h"
#include "media_open.h"

namespace emer {

namespace {

using namespace libav;

double rate_of(const AVStream& stream) {
    const AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
    return rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0.0;
}

VideoInfo video_info(const AVStream& stream) {
    const AVCodecParameters& parameters = *stream.codecpar;
    VideoInfo info;
    info.index = stream.index;
    info.codec = avcodec_get_name(parameters.codec_id);
    info.width = parameters.width;
    info.height = parameters.height;
    info.fps = rate_of(stream);
    info.frames = stream.nb_frames > 0 ? stream.nb_frames : -1;
    info.rotation = Orientation::from_matrix(display_matrix(stream)).degrees();
    const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(parameters.format));
    if (name != nullptr) info.pixel_format = name;
    return info;
}

AudioInfo audio_info(const AVStream& stream) {
    AudioInfo info;
    info.index = stream.index;
    info.codec = avcodec_get_name(stream.codecpar->codec_id);
    info.sample_rate = stream.codecpar->sample_rate;
    info.channels = channel_count(*stream.codecpar);
    return info;
}

// A language tag; anything else in that place is not passed on.
std::string language(const AVStream& stream) {
    const AVDictionaryEntry* entry = av_dict_get(stream.metadata, "language", nullptr, 0);
    if (entry == nullptr) return {};
    const std::string tag = entry->value;
    if (tag.size() < 2 || tag.size() > 12) return {};
    for (const char c : tag) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-') return {};
    }
    return tag;
}

SubtitleInfo subtitle_info(const AVStream& stream) {
    SubtitleInfo info;
    info.index = stream.index;
    info.codec = avcodec_get_name(stream.codecpar->codec_id);
    info.language = language(stream);
    info.is_text = is_text_subtitle(stream.codecpar->codec_id);
    return info;
}

// What only a decoded frame tells: MPEG streams carry no header of their own. Leaves `info` alone if none comes.
void look_at_frame(MediaFile& file, const MediaLimits& limits, VideoInfo& info) {
    constexpr int most_packets = 300;
    const AVStream& stream = *file.format().streams[info.index];
    const Codec codec = open_decoder(stream, {limits.pixels, 1, 0});
    const Packet packet = make_packet();
    const Frame frame = make_frame();
    file.only(info.index);
    for (int i = 0; i < most_packets; ++i) {
        const bool more = file.read(*packet);
        avcodec_send_packet(codec.get(), more ? packet.get() : nullptr);
        av_packet_unref(packet.get());
        if (avcodec_receive_frame(codec.get(), frame.get()) >= 0) {
            info.width = frame->width;
            info.height = frame->height;
            const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame->format));
            if (name != nullptr) info.pixel_format = name;
            return;
        }
        if (!more) return;
    }
}

}  // namespace

MediaInfo probe_media(const std::string& path, const MediaLimits& limits, const CancelToken* cancel) {
    const Watch watch(limits, cancel);
    watch.check();
    MediaFile file(path, limits, watch);
    file.complete_streams(true);
    const AVFormatContext& format = file.format();
    MediaInfo info;
    info.container = format.iformat->name;
    info.size_bytes = file.size_bytes();
    info.duration_seconds = file.duration_seconds();
    info.streams = static_cast<int>(format.nb_streams);
    bool video_refused = true;
    for (const AVMediaType type : {AVMEDIA_TYPE_VIDEO, AVMEDIA_TYPE_AUDIO}) {
        const int index = file.best(type);
        if (index < 0) continue;
        const AVStream& stream = *format.streams[index];
        if (type == AVMEDIA_TYPE_VIDEO) info.video = video_info(stream);
        if (type == AVMEDIA_TYPE_AUDIO) info.audio = audio_info(stream);
        const std::string refused = refusal(*stream.codecpar);
        if (refused.empty()) {
            if (type == AVMEDIA_TYPE_VIDEO) video_refused = false;
            continue;
        }
        info.refusals.push_back(refused);
        if (codec_allowed(stream.codecpar->codec_id)) {
            info.lacking_decoders.emplace_back(avcodec_get_name(stream.codecpar->codec_id));
        }
    }
    for (unsigned i = 0; i < format.nb_streams; ++i) {
        const AVStream& stream = *format.streams[i];
        if (stream.codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE) info.subtitles.push_back(subtitle_info(stream));
    }
    const bool told = info.video.width > 0 && info.video.height > 0 && !info.video.pixel_format.empty();
    if (!video_refused && !told) look_at_frame(file, limits, info.video);
    return info;
}

DecodeBackend decode_backend() {
    DecodeBackend backend;
    backend.have_libav = true;
    const unsigned version = avcodec_version();
    backend.libavcodec = std::to_string(AV_VERSION_MAJOR(version)) + "." + std::to_string(AV_VERSION_MINOR(version)) + "." +
                         std::to_string(AV_VERSION_MICRO(version));
    backend.licence = avcodec_license();
    return backend;
}

}  // namespace emer

#endif
