#if defined(EMER_HAVE_LIBAV)

#include "media_libav.h"

#include <new>
#include <vector>

#include "emer/error.h"

namespace emer::libav {

Packet make_packet() {
    Packet packet(av_packet_alloc());
    if (!packet) throw std::bad_alloc();
    return packet;
}

Frame make_frame() {
    Frame frame(av_frame_alloc());
    if (!frame) throw std::bad_alloc();
    return frame;
}

std::string reason(int code) {
    char text[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(code, text, sizeof(text));
    return text;
}

const std::int32_t* display_matrix(const AVStream& stream) {
    constexpr std::size_t bytes = 9 * sizeof(std::int32_t);
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVCodecParameters& parameters = *stream.codecpar;
    const AVPacketSideData* data = av_packet_side_data_get(
        parameters.coded_side_data, parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    if (data == nullptr || data->size < bytes) return nullptr;
    return reinterpret_cast<const std::int32_t*>(data->data);
#else
    for (int i = 0; i < stream.nb_side_data; ++i) {
        const AVPacketSideData& data = stream.side_data[i];
        if (data.type == AV_PKT_DATA_DISPLAYMATRIX && static_cast<std::size_t>(data.size) >= bytes) {
            return reinterpret_cast<const std::int32_t*>(data.data);
        }
    }
    return nullptr;
#endif
}

#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 24, 100)

int channel_count(const AVCodecParameters& parameters) { return parameters.ch_layout.nb_channels; }
int channel_count(const AVFrame& frame) { return frame.ch_layout.nb_channels; }

namespace {

SwrContext* allocate(const SoundFormat& sound, int sample_rate) {
    AVChannelLayout in{};
    AVChannelLayout out{};
    av_channel_layout_default(&in, sound.channels);
    av_channel_layout_default(&out, 1);
    SwrContext* context = nullptr;
    swr_alloc_set_opts2(&context, &out, AV_SAMPLE_FMT_FLT, sample_rate, &in, sound.format, sound.sample_rate, 0, nullptr);
    av_channel_layout_uninit(&in);
    av_channel_layout_uninit(&out);
    return context;
}

}  // namespace

#else

int channel_count(const AVCodecParameters& parameters) { return parameters.channels; }
int channel_count(const AVFrame& frame) { return frame.channels; }

namespace {

SwrContext* allocate(const SoundFormat& sound, int sample_rate) {
    SwrContext* context = swr_alloc_set_opts(nullptr, AV_CH_LAYOUT_MONO, AV_SAMPLE_FMT_FLT, sample_rate,
                                             av_get_default_channel_layout(sound.channels), sound.format,
                                             sound.sample_rate, 0, nullptr);
    // Some channel counts have no default layout; the count alone does.
    if (context != nullptr) av_opt_set_int(context, "ich", sound.channels, 0);
    return context;
}

}  // namespace

#endif

bool can_resample(const SoundFormat& sound) {
    return sound.sample_rate >= 1'000 && sound.sample_rate <= 768'000 && sound.channels >= 1 && sound.channels <= 64;
}

Resampler make_mono_resampler(const SoundFormat& sound, int sample_rate) {
    const int channels = sound.channels;
    Resampler resampler(allocate(sound, sample_rate));
    if (!resampler) throw std::bad_alloc();
    // libav's own downmix to float adds channels up; the models were trained on their mean.
    const std::vector<double> mean(static_cast<std::size_t>(channels), 1.0 / channels);
    av_opt_set_sample_fmt(resampler.get(), "internal_sample_fmt", AV_SAMPLE_FMT_FLTP, 0);
    int code = swr_set_matrix(resampler.get(), mean.data(), channels);
    if (code >= 0) code = swr_init(resampler.get());
    if (code < 0) throw Error(Kind::media, "The sound can't be resampled.", reason(code));
    return resampler;
}

}  // namespace emer::libav

#endif
