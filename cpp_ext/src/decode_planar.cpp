#if defined(EMER_HAVE_LIBAV)

#include "decode_planar.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace emer::libav {

namespace {

// Steps of luma that one step of chroma is worth, and levels that one step of luma is worth.
struct Matrix {
    float light, black;
    float red_v, green_u, green_v, blue_u;
};

Matrix make_matrix(const int* coefficients, bool full_range) {
    const float light = full_range ? 1.0F : 255.0F / 219.0F;
    const float chroma = (full_range ? 224.0F / 255.0F : 1.0F) / 65536.0F / light;
    Matrix m{};
    m.light = light;
    m.black = full_range ? 0.0F : 16.0F;
    m.red_v = static_cast<float>(coefficients[0]) * chroma;
    m.blue_u = static_cast<float>(coefficients[1]) * chroma;
    m.green_u = static_cast<float>(coefficients[2]) * chroma;
    m.green_v = static_cast<float>(coefficients[3]) * chroma;
    return m;
}

struct Plane {
    const std::uint8_t* data;
    std::ptrdiff_t stride;
    int width;
    int height;

    template <typename Sample>
    const Sample* row(int y) const {
        return reinterpret_cast<const Sample*>(data + stride * std::clamp(y, 0, height - 1));
    }
};

Plane plane_of(const AVFrame& frame, int number, const AVPixFmtDescriptor& pixel) {
    const int w = number == 0 ? 0 : pixel.log2_chroma_w;
    const int h = number == 0 ? 0 : pixel.log2_chroma_h;
    return {frame.data[number], frame.linesize[number], (frame.width + (1 << w) - 1) >> w,
            (frame.height + (1 << h) - 1) >> h};
}

// One row of chroma in 8-bit units around grey, one value for each luma sample.
template <typename Sample>
void chroma_row(const Plane& plane, int y, const AVPixFmtDescriptor& pixel, bool whole, std::vector<float>& row,
                std::vector<float>& out) {
    const float unit = 1.0F / static_cast<float>(1 << (pixel.comp[0].depth - 8));
    const bool interpolate = pixel.log2_chroma_h == 1;
    const Sample* near = plane.row<Sample>(interpolate ? y / 2 : y);
    const Sample* far = interpolate ? plane.row<Sample>(y % 2 == 0 ? y / 2 - 1 : y / 2 + 1) : near;
    for (int x = 0; x < plane.width; ++x) row[x] = (0.75F * near[x] + 0.25F * far[x]) * unit;
    row[plane.width] = row[plane.width - 1];
    const int width = static_cast<int>(out.size());
    for (int x = 0; x < width; ++x) {
        float value = row[pixel.log2_chroma_w == 1 ? x / 2 : x];
        if (interpolate && whole) value = 0.75F * row[x / 2] + 0.25F * row[x / 2 + 1];
        if (interpolate && !whole && x % 2 == 1) value = 0.5F * (row[x / 2] + row[x / 2 + 1]);
        out[x] = (whole ? std::floor(value + 0.5F) : value) - 128.0F;
    }
}

std::uint8_t level(float value) { return static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F)); }

template <typename Sample>
void convert(const AVFrame& frame, const AVPixFmtDescriptor& pixel, const Matrix& m, std::uint8_t* rgb,
             std::ptrdiff_t stride) {
    const float unit = 1.0F / static_cast<float>(1 << (pixel.comp[0].depth - 8));
    const Plane luma = plane_of(frame, 0, pixel);
    const Plane blue = plane_of(frame, 1, pixel);
    const Plane red = plane_of(frame, 2, pixel);
    // swscale works in whole levels, except where an odd width makes it interpolate chroma for each pixel.
    const bool whole = frame.width % 2 == 0;
    const auto cut = [whole](float value) { return whole ? std::floor(value) : value; };
    std::vector<float> row(static_cast<std::size_t>(blue.width) + 1);
    std::vector<float> u(static_cast<std::size_t>(frame.width));
    std::vector<float> v(u.size());
    for (int y = 0; y < frame.height; ++y) {
        chroma_row<Sample>(blue, y, pixel, whole, row, u);
        chroma_row<Sample>(red, y, pixel, whole, row, v);
        const Sample* from = luma.row<Sample>(y);
        std::uint8_t* to = rgb + stride * y;
        for (int x = 0; x < frame.width; ++x, to += 3) {
            const float light = (whole ? std::floor(from[x] * unit + 0.5F) : from[x] * unit) - m.black;
            const float green = cut(-m.green_u * u[x]) + cut(-m.green_v * v[x]);
            const float rounding = whole ? 0.0F : 0.5F;
            to[0] = level(m.light * (light + cut(m.red_v * v[x])) + rounding);
            to[1] = level(m.light * (light + green) + rounding);
            to[2] = level(m.light * (light + cut(m.blue_u * u[x])) + rounding);
        }
    }
}

}  // namespace

bool is_for_planar(int format, int width, int height) {
    if (format == AV_PIX_FMT_YUV420P) return width % 2 != 0 || height % 2 != 0;
    const AVPixFmtDescriptor* pixel = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(format));
    if (pixel == nullptr || pixel->nb_components != 3) return false;
    constexpr std::uint64_t refused = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BE |
                                      AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_PAL;
    if ((pixel->flags & refused) != 0 || (pixel->flags & AV_PIX_FMT_FLAG_PLANAR) == 0) return false;
    if (pixel->log2_chroma_w > 1 || pixel->log2_chroma_h > pixel->log2_chroma_w) return false;
    for (int i = 0; i < 3; ++i) {
        const AVComponentDescriptor& part = pixel->comp[i];
        if (part.plane != i || part.step != 2 || part.shift != 0 || part.offset != 0 || part.depth < 9) return false;
    }
    return true;
}

void planar_to_rgb(const AVFrame& frame, const int* coefficients, bool full_range, std::uint8_t* rgb,
                   std::ptrdiff_t stride) {
    // The j-formats are 8-bit 4:2:0 as well; only the range differs.
    const AVPixFmtDescriptor& pixel = *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    const Matrix m = make_matrix(coefficients, full_range);
    if (pixel.comp[0].step == 1) {
        convert<std::uint8_t>(frame, pixel, m, rgb, stride);
    } else {
        convert<std::uint16_t>(frame, pixel, m, rgb, stride);
    }
}

}  // namespace emer::libav

#endif
