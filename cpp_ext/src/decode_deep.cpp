#if defined(EMER_HAVE_LIBAV)

#include "decode_deep.h"

#include <algorithm>
#include <vector>

namespace emer::libav {

namespace {

// Factors from samples to 0..255, the sample's black and grey levels taken off.
struct Matrix {
    float y, black, grey;
    float red_v, green_u, green_v, blue_u;
};

Matrix make_matrix(const int* coefficients, bool full_range, int depth) {
    const float unit = 1.0F / static_cast<float>(1 << (depth - 8));
    const float chroma = unit * (full_range ? 224.0F / 255.0F : 1.0F) / 65536.0F;
    Matrix m{};
    m.y = unit * (full_range ? 1.0F : 255.0F / 219.0F);
    m.black = full_range ? 0.0F : 16.0F / unit;
    m.grey = 128.0F / unit;
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

    const std::uint16_t* row(int y) const {
        return reinterpret_cast<const std::uint16_t*>(data + stride * std::clamp(y, 0, height - 1));
    }
};

Plane plane_of(const AVFrame& frame, int number, const AVPixFmtDescriptor& pixel) {
    const int w = number == 0 ? 0 : pixel.log2_chroma_w;
    const int h = number == 0 ? 0 : pixel.log2_chroma_h;
    return {frame.data[number], frame.linesize[number], (frame.width + (1 << w) - 1) >> w,
            (frame.height + (1 << h) - 1) >> h};
}

// One row of chroma less grey, one value for each group of luma pixels that shares it.
void chroma_row(const Plane& plane, int y, bool halved_x, bool halved_y, float grey, std::vector<float>& out) {
    const std::uint16_t* near = plane.row(halved_y ? y / 2 : y);
    const std::uint16_t* far = near;
    if (halved_y) far = plane.row(y % 2 == 0 ? y / 2 - 1 : y / 2 + 1);
    for (int x = 0; x < plane.width; ++x) out[x] = 0.75F * near[x] + 0.25F * far[x] - grey;
    if (!halved_x) return;
    for (int x = 0; x + 1 < plane.width; ++x) out[x] = 0.75F * out[x] + 0.25F * out[x + 1];
}

// Cut, not rounded, as swscale does for 8-bit clips: both kinds of clip then look alike to a model.
std::uint8_t level(float value) { return static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F)); }

}  // namespace

bool is_deep_planar(int format) {
    const AVPixFmtDescriptor* pixel = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(format));
    if (pixel == nullptr || pixel->nb_components != 3) return false;
    constexpr std::uint64_t refused = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BE |
                                      AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_PAL;
    if ((pixel->flags & refused) != 0 || (pixel->flags & AV_PIX_FMT_FLAG_PLANAR) == 0) return false;
    if (pixel->log2_chroma_w > 1 || pixel->log2_chroma_h > 1 || pixel->log2_chroma_h > pixel->log2_chroma_w) return false;
    for (int i = 0; i < 3; ++i) {
        const AVComponentDescriptor& part = pixel->comp[i];
        if (part.plane != i || part.step != 2 || part.shift != 0 || part.offset != 0 || part.depth < 9) return false;
    }
    return true;
}

void deep_to_rgb(const AVFrame& frame, const int* coefficients, bool full_range, std::uint8_t* rgb,
                 std::ptrdiff_t stride) {
    const AVPixFmtDescriptor& pixel = *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    const Matrix m = make_matrix(coefficients, full_range, pixel.comp[0].depth);
    const Plane luma = plane_of(frame, 0, pixel);
    const Plane blue = plane_of(frame, 1, pixel);
    const Plane red = plane_of(frame, 2, pixel);
    const bool halved_x = pixel.log2_chroma_w == 1;
    const bool halved_y = pixel.log2_chroma_h == 1;
    std::vector<float> u(static_cast<std::size_t>(blue.width));
    std::vector<float> v(static_cast<std::size_t>(red.width));
    for (int y = 0; y < frame.height; ++y) {
        chroma_row(blue, y, halved_x, halved_y, m.grey, u);
        chroma_row(red, y, halved_x, halved_y, m.grey, v);
        const std::uint16_t* from = luma.row(y);
        std::uint8_t* to = rgb + stride * y;
        for (int x = 0; x < frame.width; ++x, to += 3) {
            const int shared = halved_x ? x / 2 : x;
            const float light = (static_cast<float>(from[x]) - m.black) * m.y;
            to[0] = level(light + m.red_v * v[shared]);
            to[1] = level(light - m.green_u * u[shared] - m.green_v * v[shared]);
            to[2] = level(light + m.blue_u * u[shared]);
        }
    }
}

}  // namespace emer::libav

#endif
