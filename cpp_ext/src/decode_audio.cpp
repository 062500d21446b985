#if defined(EMER_HAVE_LIBAV)

#include <algorithm>
#include <cmath>
#include <new>
#include <string>

#include "emer/decode.h"
#include "emer/error.h"
#include "media_codecs.h"
#include "media_open.h"

namespace emer {

namespace {

using namespace libav;

// One audio stream on its way into one waveform.
class AudioDecode {
public:
    AudioDecode(MediaFile& file, int stream_index, const AudioRequest& request, const MediaLimits& limits,
                const Watch& watch)
        : file_(file),
          stream_(*file.format().streams[stream_index]),
          request_(request),
          limits_(limits),
          watch_(watch),
          codec_(open_decoder(stream_, {limits.pixels, 1, 0})),
          frame_(make_frame()) {
        file.only(stream_index);
        result_.sample_rate = request.sample_rate;
        const double most = request.max_seconds > 0.0 ? std::min(request.max_seconds, limits.audio_seconds) : limits.audio_seconds;
        // Beyond 2^62 a cast is undefined; no clip is that long.
        most_samples_ = static_cast<std::size_t>(std::min(std::ceil(most * request.sample_rate), 4e18));
        cut_is_asked_for_ = request.max_seconds > 0.0 && request.max_seconds <= limits.audio_seconds;
    }

    AudioResult run();

private:
    void send(const AVPacket* packet);
    void take(const AVFrame& frame);
    void convert_frame(const AVFrame& frame);
    void convert(const std::uint8_t** data, int samples);
    // One sample past the ceiling settles that there is more.
    bool full() const { return result_.samples.size() > most_samples_; }

    MediaFile& file_;
    const AVStream& stream_;
    const AudioRequest& request_;
    const MediaLimits& limits_;
    const Watch& watch_;
    Codec codec_;
    Frame frame_;
    Resampler resampler_;
    SoundFormat sound_;
    std::size_t most_samples_ = 0;
    bool cut_is_asked_for_ = false;
    bool started_ = false;
    AudioResult result_;
};

AudioResult AudioDecode::run() {
    const Packet packet = make_packet();
    while (!full() && file_.read(*packet)) {
        if ((packet->flags & AV_PKT_FLAG_CORRUPT) != 0) ++result_.corrupt;
        send(packet.get());
        av_packet_unref(packet.get());
    }
    if (!full()) send(nullptr);
    if (!full() && resampler_) convert(nullptr, 0);
    result_.corrupt += file_.damaged_reads();
    if (result_.samples.empty()) throw Error(Kind::media, file_.path() + " holds no sound that can be decoded.");
    if (result_.samples.size() > most_samples_) {
        if (!cut_is_asked_for_) {
            throw Error(Kind::limit, file_.path() + " holds more sound than Limits.audio_seconds allows.",
                        "The ceiling is " + std::to_string(limits_.audio_seconds) + " s.");
        }
        result_.samples.resize(most_samples_);
        result_.truncated = true;
    }
    return std::move(result_);
}

void AudioDecode::send(const AVPacket* packet) {
    watch_.check();
    int code = avcodec_send_packet(codec_.get(), packet);
    if (code == AVERROR(ENOMEM)) throw std::bad_alloc();
    if (code < 0 && code != AVERROR_EOF) ++result_.corrupt;
    int failures = 0;
    while (failures < 64) {
        watch_.check();
        code = avcodec_receive_frame(codec_.get(), frame_.get());
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
        if (code == AVERROR(ENOMEM)) throw std::bad_alloc();
        if (code < 0) {
            ++result_.corrupt;
            ++failures;
            continue;
        }
        take(*frame_);
        av_frame_unref(frame_.get());
    }
}

void AudioDecode::take(const AVFrame& frame) {
    const SoundFormat sound{static_cast<AVSampleFormat>(frame.format), frame.sample_rate, channel_count(frame)};
    if (frame.nb_samples <= 0 || full()) return;
    if (!can_resample(sound)) {
        throw Error(Kind::unsupported_media, file_.path() + ": the sound can't be resampled.",
                    std::to_string(sound.channels) + " channels at " + std::to_string(sound.sample_rate) + " Hz.");
    }
    if (!resampler_ || !(sound == sound_)) {
        if (resampler_) convert(nullptr, 0);
        resampler_ = make_mono_resampler(sound, request_.sample_rate);
        sound_ = sound;
    }
    if (!started_) {
        started_ = true;
        std::int64_t pts = frame.pts != AV_NOPTS_VALUE ? frame.pts : frame.best_effort_timestamp;
        if (pts != AV_NOPTS_VALUE) {
            result_.start_seconds = static_cast<double>(pts) * av_q2d(stream_.time_base) - file_.zero_seconds();
        }
    }
    convert_frame(frame);
}

// A frame of raw sound may be as long as the file, and grow sixteenfold: in blocks, the ceiling is met in time.
void AudioDecode::convert_frame(const AVFrame& frame) {
    constexpr int block = 1 << 16;
    const bool planar = av_sample_fmt_is_planar(sound_.format) != 0;
    const auto bytes = static_cast<std::size_t>(av_get_bytes_per_sample(sound_.format));
    const std::size_t step = planar ? bytes : bytes * static_cast<std::size_t>(sound_.channels);
    std::vector<const std::uint8_t*> planes(planar ? static_cast<std::size_t>(sound_.channels) : 1);
    for (int done = 0; done < frame.nb_samples && !full(); done += block) {
        watch_.check();
        for (std::size_t plane = 0; plane < planes.size(); ++plane) {
            planes[plane] = frame.extended_data[plane] + static_cast<std::size_t>(done) * step;
        }
        convert(planes.data(), std::min(block, frame.nb_samples - done));
    }
}

// Appends what the resampler gives; without data, what it still holds.
void AudioDecode::convert(const std::uint8_t** data, int samples) {
    const int room = swr_get_out_samples(resampler_.get(), samples);
    if (room < 0) throw Error(Kind::media, file_.path() + ": the sound can't be resampled.", reason(room));
    if (room == 0) return;
    std::vector<float>& out = result_.samples;
    const std::size_t before = out.size();
    out.resize(before + static_cast<std::size_t>(room));
    auto* to = reinterpret_cast<std::uint8_t*>(out.data() + before);
    const int got = swr_convert(resampler_.get(), &to, room, data, samples);
    out.resize(before + static_cast<std::size_t>(std::max(0, got)));
    if (got < 0) ++result_.corrupt;
}

void check_request(const AudioRequest& request) {
    if (!can_resample({AV_SAMPLE_FMT_FLT, request.sample_rate, 1})) {
        throw Error(Kind::input, "A sample rate of " + std::to_string(request.sample_rate) + " Hz is not possible.");
    }
    if (!std::isfinite(request.max_seconds) || request.max_seconds < 0.0) {
        throw Error(Kind::input, "The length of sound to decode makes no sense.");
    }
}

}  // namespace

std::vector<float> resample_mono(const float* samples, std::size_t count, int from_rate, int to_rate) {
    const SoundFormat sound{AV_SAMPLE_FMT_FLT, from_rate, 1};
    if (!can_resample(sound) || !can_resample({AV_SAMPLE_FMT_FLT, to_rate, 1})) {
        throw Error(Kind::input, "Sound can't be resampled from " + std::to_string(from_rate) + " to " +
                                     std::to_string(to_rate) + " Hz.");
    }
    const Resampler resampler = make_mono_resampler(sound, to_rate);
    constexpr std::size_t block = 1 << 16;
    std::vector<float> out;
    for (std::size_t at = 0; at <= count; at += block) {
        const int samples_in = static_cast<int>(std::min(block, count - at));
        const bool last = at + block > count;
        for (int pass = 0; pass < (last ? 2 : 1); ++pass) {  // the second pass empties the resampler
            const int room = swr_get_out_samples(resampler.get(), pass == 0 ? samples_in : 0);
            const std::size_t before = out.size();
            out.resize(before + static_cast<std::size_t>(std::max(0, room)));
            auto* to = reinterpret_cast<std::uint8_t*>(out.data() + before);
            const auto* from = reinterpret_cast<const std::uint8_t*>(samples + at);
            const int got = pass == 0 ? swr_convert(resampler.get(), &to, room, &from, samples_in)
                                      : swr_convert(resampler.get(), &to, room, nullptr, 0);
            if (got < 0) throw Error(Kind::media, "Sound can't be resampled.", reason(got));
            out.resize(before + static_cast<std::size_t>(got));
        }
    }
    return out;
}

AudioResult decode_audio(const std::string& path, const AudioRequest& request, const MediaLimits& limits,
                         const CancelToken* cancel) {
    check_request(request);
    const Watch watch(limits, cancel);
    watch.check();
    MediaFile file(path, limits, watch);
    file.complete_streams(false);
    const int stream = file.best(AVMEDIA_TYPE_AUDIO);
    if (stream < 0) throw Error(Kind::media, path + " has no audio stream.");
    const std::string refused = refusal(*file.format().streams[stream]->codecpar);
    if (!refused.empty()) throw Error(Kind::unsupported_media, path + ": the sound can't be decoded.", refused);
    return AudioDecode(file, stream, request, limits, watch).run();
}

}  // namespace emer

#endif
