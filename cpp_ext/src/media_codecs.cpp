#if defined(EMER_HAVE_LIBAV)

#include "media_codecs.h"

#include <algorithm>
#include <array>
#include <new>

#include "emer/error.h"

namespace emer::libav {

const char* const kContainers =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mp3,wav,flac,ogg,aac";

namespace {

constexpr std::array kVideo{
    AV_CODEC_ID_H264,       AV_CODEC_ID_HEVC,       AV_CODEC_ID_VP8,    AV_CODEC_ID_VP9,    AV_CODEC_ID_AV1,
    AV_CODEC_ID_MPEG1VIDEO, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG4,  AV_CODEC_ID_MJPEG,  AV_CODEC_ID_H263,
    AV_CODEC_ID_MSMPEG4V2,  AV_CODEC_ID_MSMPEG4V3,  AV_CODEC_ID_THEORA, AV_CODEC_ID_PRORES,
};

constexpr std::array kAudio{
    AV_CODEC_ID_AAC,       AV_CODEC_ID_AAC_LATM,  AV_CODEC_ID_MP1,       AV_CODEC_ID_MP2,       AV_CODEC_ID_MP3,
    AV_CODEC_ID_OPUS,      AV_CODEC_ID_VORBIS,    AV_CODEC_ID_FLAC,      AV_CODEC_ID_ALAC,      AV_CODEC_ID_AC3,
    AV_CODEC_ID_EAC3,      AV_CODEC_ID_AMR_NB,    AV_CODEC_ID_AMR_WB,    AV_CODEC_ID_PCM_U8,    AV_CODEC_ID_PCM_S16LE,
    AV_CODEC_ID_PCM_S16BE, AV_CODEC_ID_PCM_S24LE, AV_CODEC_ID_PCM_S24BE, AV_CODEC_ID_PCM_S32LE, AV_CODEC_ID_PCM_F32LE,
    AV_CODEC_ID_PCM_F64LE, AV_CODEC_ID_PCM_ALAW,  AV_CODEC_ID_PCM_MULAW, AV_CODEC_ID_ADPCM_MS,  AV_CODEC_ID_ADPCM_IMA_WAV,
};

constexpr std::array kText{
    AV_CODEC_ID_SUBRIP, AV_CODEC_ID_MOV_TEXT, AV_CODEC_ID_WEBVTT, AV_CODEC_ID_ASS, AV_CODEC_ID_SSA, AV_CODEC_ID_TEXT,
};

template <typename List>
bool holds(const List& list, AVCodecID id) {
    return std::find(list.begin(), list.end(), id) != list.end();
}

}  // namespace

bool codec_allowed(AVCodecID id) { return holds(kVideo, id) || holds(kAudio, id) || holds(kText, id); }

bool is_text_subtitle(AVCodecID id) { return holds(kText, id); }

const AVCodec* find_decoder(AVCodecID id) {
    if (id == AV_CODEC_ID_AV1) {
        // libavcodec's own "av1" only drives hardware and gives no frames without it.
        const AVCodec* codec = avcodec_find_decoder_by_name("libdav1d");
        return codec != nullptr ? codec : avcodec_find_decoder_by_name("libaom-av1");
    }
    return avcodec_find_decoder(id);
}

std::string refusal(const AVCodecParameters& parameters) {
    const std::string name = avcodec_get_name(parameters.codec_id);
    if (!codec_allowed(parameters.codec_id)) return "The codec " + name + " is not on the allow-list.";
    if (find_decoder(parameters.codec_id) == nullptr) return "This libav has no decoder for " + name + ".";
    return {};
}

Codec open_decoder(const AVStream& stream, const CodecOptions& options) {
    const AVCodecParameters& parameters = *stream.codecpar;
    const std::string refused = refusal(parameters);
    if (!refused.empty()) throw Error(Kind::unsupported_media, refused);
    const AVCodec* codec = find_decoder(parameters.codec_id);
    Codec context(avcodec_alloc_context3(codec));
    if (!context) throw std::bad_alloc();
    int code = avcodec_parameters_to_context(context.get(), &parameters);
    context->pkt_timebase = stream.time_base;
    context->thread_count = options.threads;
    if (options.max_pixels > 0) context->max_pixels = options.max_pixels;
    if (parameters.codec_id == AV_CODEC_ID_H264 && options.reorder_depth > context->has_b_frames) {
        context->has_b_frames = std::min(options.reorder_depth, 16);
    }
    if (code >= 0) code = avcodec_open2(context.get(), codec, nullptr);
    if (code < 0) {
        throw Error(Kind::media, "The decoder for " + std::string(codec->name) + " refuses the stream.", reason(code));
    }
    return context;
}

}  // namespace emer::libav

#endif
