#include "emer/decode.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "emer/error.h"
#include "emer/media.h"
#include "image.h"
#include "module.h"

namespace py = pybind11;

namespace emer::python {

namespace {

using Token = std::shared_ptr<CancelToken>;

template <typename T>
T value(const py::dict& options, const char* key, T otherwise) {
    return options.contains(key) ? py::cast<T>(options[key]) : otherwise;
}

// A count that may come as a float; beyond what fits, the largest that does.
std::int64_t count(const py::dict& options, const char* key, std::int64_t otherwise) {
    constexpr double most = 4e18;
    const auto number = value<double>(options, key, static_cast<double>(otherwise));
    return number < most ? static_cast<std::int64_t>(number) : static_cast<std::int64_t>(most);
}

MediaLimits media_limits(const py::dict& options) {
    MediaLimits limits;
    limits.file_bytes = count(options, "file_bytes", limits.file_bytes);
    limits.clip_seconds = value(options, "clip_seconds", limits.clip_seconds);
    limits.pixels = count(options, "pixels", limits.pixels);
    limits.streams = count(options, "streams", limits.streams);
    limits.frames = count(options, "frames", limits.frames);
    limits.packets = count(options, "packets", limits.packets);
    limits.decode_seconds = value(options, "decode_seconds", limits.decode_seconds);
    limits.audio_seconds = value(options, "audio_seconds", limits.audio_seconds);
    limits.subtitle_bytes = count(options, "subtitle_bytes", limits.subtitle_bytes);
    limits.subtitle_cues = count(options, "subtitle_cues", limits.subtitle_cues);
    return limits;
}

// What a file says may be any bytes; Python gets text.
py::str text(const std::string& bytes) {
    PyObject* decoded = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
    if (decoded == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::str>(decoded);
}

FrameRule frame_rule(const std::string& name) {
    if (name == "uniform_index") return FrameRule::uniform_index;
    if (name == "midpoint_time") return FrameRule::midpoint_time;
    throw Error(Kind::input, "No frame rule is called '" + name + "'.", "Known: uniform_index, midpoint_time.");
}

py::dict video_dict(const VideoInfo& video) {
    py::dict out;
    out["index"] = video.index;
    out["codec"] = text(video.codec);
    out["width"] = video.width;
    out["height"] = video.height;
    out["fps"] = video.fps;
    out["frames"] = video.frames < 0 ? py::object(py::none()) : py::object(py::int_(video.frames));
    out["rotation"] = video.rotation;
    out["pixel_format"] = text(video.pixel_format);
    return out;
}

py::dict audio_dict(const AudioInfo& audio) {
    py::dict out;
    out["index"] = audio.index;
    out["codec"] = text(audio.codec);
    out["sample_rate"] = audio.sample_rate;
    out["channels"] = audio.channels;
    return out;
}

py::dict probe(const std::string& path, const py::dict& options, const Token& cancel) {
    const MediaLimits limits = media_limits(options);
    MediaInfo info;
    {
        py::gil_scoped_release release;
        info = probe_media(path, limits, cancel.get());
    }
    py::list subtitles;
    for (const SubtitleInfo& subtitle : info.subtitles) {
        py::dict each;
        each["index"] = subtitle.index;
        each["codec"] = text(subtitle.codec);
        each["language"] = text(subtitle.language);
        each["is_text"] = subtitle.is_text;
        subtitles.append(each);
    }
    py::list refusals;
    for (const std::string& refusal : info.refusals) refusals.append(text(refusal));
    py::list lacking;
    for (const std::string& codec : info.lacking_decoders) lacking.append(text(codec));
    py::dict out;
    out["lacking_decoders"] = lacking;
    out["container"] = text(info.container);
    out["size_bytes"] = info.size_bytes;
    out["duration_seconds"] = info.duration_seconds;
    out["streams"] = info.streams;
    out["video"] = info.video.index < 0 ? py::object(py::none()) : py::object(video_dict(info.video));
    out["audio"] = info.audio.index < 0 ? py::object(py::none()) : py::object(audio_dict(info.audio));
    out["subtitles"] = subtitles;
    out["refusals"] = refusals;
    return out;
}

// The array takes over the memory that C++ filled.
py::array pictures(FrameResult& result) {
    const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(result.pts_seconds.size()), 3, result.size.height,
                                         result.size.width};
    std::uint8_t* pixels = result.pixels.release();
    const py::capsule owner(pixels, [](void* memory) { delete[] static_cast<std::uint8_t*>(memory); });
    if (result.as_float) return py::array_t<float>(shape, reinterpret_cast<float*>(pixels), owner);
    return py::array_t<std::uint8_t>(shape, pixels, owner);
}

py::dict frames(const std::string& path, const py::dict& spec, const py::dict& options, const Token& cancel) {
    const MediaLimits limits = media_limits(options);
    FrameRequest request;
    request.rule = frame_rule(value<std::string>(spec, "rule", "uniform_index"));
    request.count = value(spec, "count", request.count);
    request.threads = value(spec, "threads", 0);
    request.output = output_spec(spec);
    FrameResult result;
    {
        py::gil_scoped_release release;
        result = decode_frames(path, request, limits, cancel.get());
    }
    py::dict out;
    out["pixels"] = pictures(result);
    out["pts_seconds"] = py::array_t<double>(static_cast<py::ssize_t>(result.pts_seconds.size()), result.pts_seconds.data());
    out["source_width"] = result.source.width;
    out["source_height"] = result.source.height;
    out["rotation_degrees"] = result.rotation_degrees;
    out["frames"] = result.frames;
    out["padded"] = result.padded;
    out["corrupt"] = result.corrupt;
    out["decoded_packets"] = result.decoded_packets;
    out["fallbacks"] = result.fallbacks;
    return out;
}

py::dict audio(const std::string& path, const py::dict& spec, const py::dict& options, const Token& cancel) {
    const MediaLimits limits = media_limits(options);
    AudioRequest request;
    request.sample_rate = value(spec, "sample_rate", request.sample_rate);
    request.max_seconds = value(spec, "max_seconds", request.max_seconds);
    auto result = std::make_unique<AudioResult>();
    {
        py::gil_scoped_release release;
        *result = decode_audio(path, request, limits, cancel.get());
    }
    py::dict out;
    out["sample_rate"] = result->sample_rate;
    out["start_seconds"] = result->start_seconds;
    out["corrupt"] = result->corrupt;
    out["truncated"] = result->truncated;
    AudioResult* owned = result.release();
    const py::capsule owner(owned, [](void* memory) { delete static_cast<AudioResult*>(memory); });
    out["samples"] = py::array_t<float>(static_cast<py::ssize_t>(owned->samples.size()), owned->samples.data(), owner);
    return out;
}

py::array_t<float> resample(const py::array_t<float, py::array::c_style>& samples, int from_rate, int to_rate) {
    if (samples.ndim() != 1) throw Error(Kind::input, "resample_mono() takes samples of shape [n].");
    auto owned = std::make_unique<std::vector<float>>();
    {
        py::gil_scoped_release release;
        *owned = resample_mono(samples.data(), static_cast<std::size_t>(samples.size()), from_rate, to_rate);
    }
    std::vector<float>* out = owned.release();
    const py::capsule owner(out, [](void* memory) { delete static_cast<std::vector<float>*>(memory); });
    return py::array_t<float>(static_cast<py::ssize_t>(out->size()), out->data(), owner);
}

py::list subtitles(const std::string& path, int stream_index, const py::dict& options, const Token& cancel) {
    const MediaLimits limits = media_limits(options);
    std::vector<SubtitleCue> cues;
    {
        py::gil_scoped_release release;
        cues = read_subtitles(path, stream_index, limits, cancel.get());
    }
    py::list out;
    for (const SubtitleCue& cue : cues) out.append(py::make_tuple(cue.start_seconds, cue.end_seconds, text(cue.text)));
    return out;
}

py::dict backend() {
    const DecodeBackend backend = decode_backend();
    py::dict out;
    out["have_libav"] = backend.have_libav;
    out["libavcodec"] = backend.libavcodec;
    out["licence"] = backend.licence;
    return out;
}

}  // namespace

void register_decode(py::module_& module) {
    register_image(module);
    const py::none none;
    module.def("decode_backend", &backend, "have_libav, libavcodec (version) and licence of the native decoder.");
    module.def("probe", &probe, py::arg("path"), py::arg("limits"), py::arg("cancel") = none,
               "Container, streams and duration of a clip.");
    module.def("decode_frames", &frames, py::arg("path"), py::arg("spec"), py::arg("limits"), py::arg("cancel") = none,
               "Sampled frames as [count, 3, height, width], with their times.");
    module.def("decode_audio", &audio, py::arg("path"), py::arg("spec"), py::arg("limits"), py::arg("cancel") = none,
               "Sound as mono float32: the mean of the channels.");
    module.def("resample_mono", &resample, py::arg("samples"), py::arg("from_rate"), py::arg("to_rate"),
               "float32 [n] at one rate -> float32 [m] at another, by the resampler that decode_audio uses.");
    module.def("read_subtitles", &subtitles, py::arg("path"), py::arg("stream_index"), py::arg("limits"),
               py::arg("cancel") = none, "Cues of an embedded text subtitle as (start_seconds, end_seconds, text).");
}

}  // namespace emer::python
