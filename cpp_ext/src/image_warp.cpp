#include "emer/image_warp.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "emer/error.h"
#include "emer/image_resize.h"

namespace emer {

namespace {

struct Affine {
    double xx, xy, x0;
    double yx, yy, y0;

    double x(double u, double v) const { return xx * u + xy * v + x0; }
    double y(double u, double v) const { return yx * u + yy * v + y0; }
};

struct Box {
    int left, top, right, bottom;  // right and bottom are one past the end

    int width() const { return right - left; }
    int height() const { return bottom - top; }
};

// Crop to source. `scale` becomes how many crop pixels one source pixel spans.
Affine invert(const float* matrix, double& scale) {
    const double a = matrix[0], b = matrix[1], c = matrix[2];
    const double d = matrix[3], e = matrix[4], f = matrix[5];
    const double determinant = a * e - b * d;
    scale = std::sqrt(std::fabs(determinant));
    const bool finite = std::isfinite(a + b + c + d + e + f);
    if (!finite || !(scale > 1e-3) || !(scale < 1e3)) {
        throw Error(Kind::input, "The matrix of a crop is singular, not finite, or scales by more than 1000.");
    }
    return {e / determinant,  -b / determinant, (b * f - c * e) / determinant,
            -d / determinant, a / determinant,  (c * d - a * f) / determinant};
}

// Source pixels that the crop can touch, at least one pixel, inside the source.
Box touched(const Affine& inverse, Size crop, Size source, double scale) {
    const double right = crop.width - 0.5;
    const double bottom = crop.height - 0.5;
    const std::array<std::array<double, 2>, 4> corners{{{-0.5, -0.5}, {right, -0.5}, {-0.5, bottom}, {right, bottom}}};
    double low_x = 1e300, low_y = 1e300, high_x = -1e300, high_y = -1e300;
    for (const auto& corner : corners) {
        const double x = inverse.x(corner[0], corner[1]);
        const double y = inverse.y(corner[0], corner[1]);
        low_x = std::min(low_x, x);
        high_x = std::max(high_x, x);
        low_y = std::min(low_y, y);
        high_y = std::max(high_y, y);
    }
    const double margin = 3.0 * std::max(1.0, 1.0 / scale) + 1.0;
    const auto clamp_low = [](double value, int size) {
        return static_cast<int>(std::clamp(std::floor(value), 0.0, size - 1.0));
    };
    const auto clamp_high = [](double value, int size, int low) {
        return std::max(low, static_cast<int>(std::clamp(std::ceil(value), 0.0, size - 1.0))) + 1;
    };
    Box box{};
    box.left = clamp_low(low_x - margin, source.width);
    box.top = clamp_low(low_y - margin, source.height);
    box.right = clamp_high(high_x + margin, source.width, box.left);
    box.bottom = clamp_high(high_y + margin, source.height, box.top);
    return box;
}

// The part of the source inside `box`, reduced to `size`, as planes.
std::vector<std::uint8_t> reduce(const std::uint8_t* planes, Size source, const Box& box, Size size) {
    const std::size_t plane = static_cast<std::size_t>(source.width) * source.height;
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(box.width()) * box.height() * 3);
    std::uint8_t* to = rgb.data();
    for (int y = box.top; y < box.bottom; ++y) {
        const std::uint8_t* row = planes + static_cast<std::size_t>(y) * source.width;
        for (int x = box.left; x < box.right; ++x, to += 3) {
            to[0] = row[x];
            to[1] = row[plane + x];
            to[2] = row[2 * plane + x];
        }
    }
    OutputSpec spec;
    spec.size = size;
    spec.as_float = false;
    std::vector<std::uint8_t> out(static_cast<std::size_t>(size.width) * size.height * 3);
    Resizer({box.width(), box.height()}, spec).run(rgb.data(), static_cast<std::ptrdiff_t>(box.width()) * 3, out.data());
    return out;
}

struct Weights {
    std::array<int, 4> index;
    std::array<float, 4> weight;
};

Weights around(double position, int size) {
    const double floor = std::floor(position);
    Weights out{};
    for (int k = 0; k < 4; ++k) {
        const double at = floor + k - 1;
        out.index[k] = static_cast<int>(std::clamp(at, 0.0, size - 1.0));
        out.weight[k] = static_cast<float>(cubic(at - position));
    }
    return out;
}

std::uint8_t sample(const std::uint8_t* plane, Size size, const Weights& columns, const Weights& rows) {
    float sum = 0.0F;
    for (int j = 0; j < 4; ++j) {
        const std::uint8_t* row = plane + static_cast<std::size_t>(rows.index[j]) * size.width;
        float line = 0.0F;
        for (int k = 0; k < 4; ++k) line += columns.weight[k] * row[columns.index[k]];
        sum += rows.weight[j] * line;
    }
    return static_cast<std::uint8_t>(std::clamp(std::lround(sum), 0L, 255L));
}

}  // namespace

void warp_crop(const std::uint8_t* planes, Size source, const float* matrix, const OutputSpec& spec, void* out) {
    check_spec(spec);
    if (source.width < 1 || source.height < 1) throw Error(Kind::input, "A picture without pixels can't be cropped.");
    double scale = 1.0;
    const Affine inverse = invert(matrix, scale);
    const Box box = touched(inverse, spec.size, source, scale);
    Size size{box.width(), box.height()};
    if (scale < 1.0) {
        size.width = std::max(1, static_cast<int>(std::lround(size.width * scale)));
        size.height = std::max(1, static_cast<int>(std::lround(size.height * scale)));
    }
    const std::vector<std::uint8_t> reduced = reduce(planes, source, box, size);
    const double step_x = static_cast<double>(size.width) / box.width();
    const double step_y = static_cast<double>(size.height) / box.height();
    const std::size_t plane = static_cast<std::size_t>(size.width) * size.height;
    const PixelWriter writer(spec);
    std::vector<std::uint8_t> row(static_cast<std::size_t>(spec.size.width) * 3);
    for (int y = 0; y < spec.size.height; ++y) {
        for (int x = 0; x < spec.size.width; ++x) {
            const Weights columns = around((inverse.x(x, y) - box.left + 0.5) * step_x - 0.5, size.width);
            const Weights rows = around((inverse.y(x, y) - box.top + 0.5) * step_y - 0.5, size.height);
            for (int channel = 0; channel < 3; ++channel) {
                row[static_cast<std::size_t>(x) * 3 + channel] =
                    sample(reduced.data() + plane * channel, size, columns, rows);
            }
        }
        writer.write_row(row.data(), spec.size, y, out);
    }
}

}  // namespace emer
