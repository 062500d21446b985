#if defined(EMER_HAVE_LIBAV)

#include "decode_picture.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "decode_planar.h"
#include "emer/error.h"

namespace emer::libav {

namespace {

constexpr std::size_t kRowAlignment = 64;  // swscale's fast converters write whole vectors
constexpr std::size_t kOutputBytes = std::size_t{2} << 30;

std::size_t row_bytes(Size size) {
    return (static_cast<std::size_t>(size.width) * 3 + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
}

void grow(Buffer& buffer, std::size_t& bytes, std::size_t needed) {
    if (needed <= bytes) return;
    buffer.reset(static_cast<std::uint8_t*>(av_mallocz(needed)));
    bytes = needed;
    if (!buffer) {
        bytes = 0;
        throw std::bad_alloc();
    }
}

// yuvj420p and its kin say "full range" in the name of the format.
int plain_format(int format, bool& full_range) {
    switch (format) {
        case AV_PIX_FMT_YUVJ420P: full_range = true; return AV_PIX_FMT_YUV420P;
        case AV_PIX_FMT_YUVJ422P: full_range = true; return AV_PIX_FMT_YUV422P;
        case AV_PIX_FMT_YUVJ444P: full_range = true; return AV_PIX_FMT_YUV444P;
        case AV_PIX_FMT_YUVJ440P: full_range = true; return AV_PIX_FMT_YUV440P;
        case AV_PIX_FMT_YUVJ411P: full_range = true; return AV_PIX_FMT_YUV411P;
        default: return format;
    }
}

Scaler make_scaler(const ScalerKey& key) {
    Scaler scaler(sws_alloc_context());
    if (!scaler) throw std::bad_alloc();
    SwsContext* context = scaler.get();
    const auto set = [context](const char* name, std::int64_t value) { av_opt_set_int(context, name, value, 0); };
    set("srcw", key.size.width);
    set("srch", key.size.height);
    set("src_format", key.format);
    set("dstw", key.size.width);
    set("dsth", key.size.height);
    set("dst_format", AV_PIX_FMT_RGB24);
    // Bilinear without the accurate flags: 8-bit 4:2:0 then takes the converter that every Python decoder uses.
    set("sws_flags", SWS_BILINEAR);
    // Where chroma samples lie when nothing says otherwise (left, halfway down); newer libav assumes it by itself.
    const AVPixFmtDescriptor* pixel = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(key.format));
    if (pixel != nullptr && pixel->log2_chroma_w == 1) set("src_h_chr_pos", 0);
    if (pixel != nullptr && pixel->log2_chroma_h == 1) set("src_v_chr_pos", 128);
    if (sws_init_context(context, nullptr, nullptr) < 0) {
        throw Error(Kind::unsupported_media, "The pixel format of the frames can't be converted to RGB.");
    }
    sws_setColorspaceDetails(context, sws_getCoefficients(key.space), key.full_range ? 1 : 0,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    return scaler;
}

}  // namespace

int Orientation::degrees() const {
    if (swap) return flip_x ? 90 : 270;
    return flip_y ? 180 : 0;
}

Orientation Orientation::from_matrix(const std::int32_t* matrix) {
    Orientation turn;
    if (matrix == nullptr) return turn;
    // x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12 8.2.2); the larger pair says whether the sides change places.
    const std::int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    turn.swap = std::llabs(b) + std::llabs(c) > std::llabs(a) + std::llabs(d);
    turn.flip_x = turn.swap ? c < 0 : a < 0;
    turn.flip_y = turn.swap ? b < 0 : d < 0;
    return turn;
}

Canvas::Canvas(const FrameRequest& request)
    : request_(request),
      written_(static_cast<std::size_t>(request.count), 0),
      seconds_(static_cast<std::size_t>(request.count), 0.0) {}

void Canvas::open(Size upright, int degrees) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pixels_) {
        mixed_ = mixed_ || upright != source_ || degrees != degrees_;
        return;
    }
    source_ = upright;
    degrees_ = degrees;
    output_ = output_size(upright, request_.output);
    picture_bytes_ = static_cast<std::size_t>(output_.width) * output_.height * 3 * request_.output.value_bytes();
    if (picture_bytes_ * request_.count > kOutputBytes) {
        throw Error(Kind::limit, "The sampled frames would take more than 2 GiB.", "Ask for fewer or smaller frames.");
    }
    // Not cleared: a result leaves only when every slot was written.
    pixels_.reset(new std::uint8_t[picture_bytes_ * request_.count]);
}

void Canvas::spread(const std::vector<int>& slots, double seconds) {
    for (const int slot : slots) {
        if (slot != slots.front()) std::memcpy(at(slot), at(slots.front()), picture_bytes_);
        written_[slot] = 1;
        seconds_[slot] = seconds;
    }
}

void Canvas::finish(FrameResult& result) {
    for (const char written : written_) {
        if (written == 0) throw Error(Kind::media, "A sampled frame could not be decoded.");
    }
    result.pixels = std::move(pixels_);
    result.size = output_;
    result.as_float = request_.output.as_float;
    result.pts_seconds = std::move(seconds_);
    result.source = source_;
    result.rotation_degrees = degrees_;
}

PictureSink::PictureSink(const FrameRequest& request, Orientation of_stream, std::int64_t max_pixels, Canvas& canvas)
    : request_(request), of_stream_(of_stream), max_pixels_(max_pixels), canvas_(canvas) {}

void PictureSink::to_rgb(const AVFrame& frame, Size size) {
    bool full_range = frame.color_range == AVCOL_RANGE_JPEG;
    const int format = plain_format(frame.format, full_range);
    const int space = frame.colorspace == AVCOL_SPC_RGB ? SWS_CS_DEFAULT : static_cast<int>(frame.colorspace);
    grow(rgb_, rgb_bytes_, row_bytes(size) * size.height + kRowAlignment);
    if (is_for_planar(format, size.width, size.height)) {
        planar_to_rgb(frame, sws_getCoefficients(space), full_range, rgb_.get(), static_cast<std::ptrdiff_t>(row_bytes(size)));
        return;
    }
    const ScalerKey key{size, format, space, full_range};
    if (!scaler_ || !(key == scaler_key_)) {
        scaler_ = make_scaler(key);
        scaler_key_ = key;
    }
    std::uint8_t* to[4] = {rgb_.get(), nullptr, nullptr, nullptr};
    const int strides[4] = {static_cast<int>(row_bytes(size)), 0, 0, 0};
    const int rows = sws_scale(scaler_.get(), frame.data, frame.linesize, 0, size.height, to, strides);
    if (rows != size.height) throw Error(Kind::media, "A frame can't be converted to RGB.");
}

void PictureSink::turn(Orientation orientation, Size size) {
    const Size upright = orientation.turn(size);
    const std::size_t from_row = row_bytes(size);
    const std::size_t to_row = row_bytes(upright);
    grow(turned_, turned_bytes_, to_row * upright.height);
    for (int y = 0; y < upright.height; ++y) {
        std::uint8_t* to = turned_.get() + to_row * y;
        const int v = orientation.flip_y ? upright.height - 1 - y : y;
        for (int x = 0; x < upright.width; ++x, to += 3) {
            const int u = orientation.flip_x ? upright.width - 1 - x : x;
            const std::uint8_t* from =
                orientation.swap ? rgb_.get() + from_row * u + static_cast<std::size_t>(v) * 3
                                 : rgb_.get() + from_row * v + static_cast<std::size_t>(u) * 3;
            std::memcpy(to, from, 3);
        }
    }
}

void PictureSink::write(const AVFrame& frame, const std::vector<int>& slots, double seconds) {
    const Size size{frame.width, frame.height};
    if (size.width < 1 || size.height < 1 || static_cast<std::int64_t>(size.width) * size.height > max_pixels_) {
        throw Error(Kind::limit, "A decoded frame is larger than Limits.pixels allows.",
                    std::to_string(size.width) + "x" + std::to_string(size.height));
    }
    Orientation orientation = of_stream_;
    const AVFrameSideData* data = av_frame_get_side_data(&frame, AV_FRAME_DATA_DISPLAYMATRIX);
    if (data != nullptr && data->size >= 9 * static_cast<decltype(data->size)>(sizeof(std::int32_t))) {
        orientation = Orientation::from_matrix(reinterpret_cast<const std::int32_t*>(data->data));
    }
    const Size upright = orientation.turn(size);
    to_rgb(frame, size);
    const std::uint8_t* rgb = rgb_.get();
    if (!orientation.identity()) {
        turn(orientation, size);
        rgb = turned_.get();
    }
    canvas_.open(upright, orientation.degrees());
    if (!resizer_ || resizer_->source() != upright) {
        OutputSpec spec = request_.output;
        if (spec.resize == ResizeMode::fit) {  // the first frame set the size of the array
            spec.resize = ResizeMode::stretch;
            spec.size = canvas_.output();
        }
        resizer_ = std::make_unique<Resizer>(upright, spec);
    }
    resizer_->run(rgb, static_cast<std::ptrdiff_t>(row_bytes(upright)), canvas_.at(slots.front()));
    canvas_.spread(slots, seconds);
}

}  // namespace emer::libav

#endif
