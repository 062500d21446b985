#include "emer/image.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "emer/error.h"

namespace emer {

void check_spec(const OutputSpec& spec) {
    const Size size = spec.size;
    if (size.width < 1 || size.height < 1 || size.width > kMaxSide || size.height > kMaxSide) {
        throw Error(Kind::input,
                    "The frame size " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                        " is not between 1 and " + std::to_string(kMaxSide) + ".");
    }
    for (int channel = 0; channel < 3; ++channel) {
        const float deviation = spec.std[channel];
        if (!std::isfinite(spec.mean[channel]) || !std::isfinite(deviation) || deviation <= 0.0F) {
            throw Error(Kind::input, "The mean or standard deviation of the frames is not usable.");
        }
    }
}

Size output_size(Size source, const OutputSpec& spec) {
    if (spec.resize != ResizeMode::fit) return spec.size;
    const int longest = std::max(source.width, source.height);
    const int target = std::max(spec.size.width, spec.size.height);
    if (target >= longest) return source;
    const auto scaled = [&](int side) {
        const double exact = static_cast<double>(side) * target / longest;
        return std::max(1, static_cast<int>(std::lround(exact)));
    };
    return {scaled(source.width), scaled(source.height)};
}

PixelWriter::PixelWriter(const OutputSpec& spec) : bgr_(spec.bgr), as_float_(spec.as_float) {
    for (int channel = 0; channel < 3; ++channel) {
        for (int value = 0; value < 256; ++value) {
            const float share = static_cast<float>(value) / 255.0F;
            table_[channel][value] = (share - spec.mean[channel]) / spec.std[channel];
        }
    }
}

void PixelWriter::write_row(const std::uint8_t* rgb, Size size, int y, void* out) const {
    const std::size_t plane = static_cast<std::size_t>(size.width) * size.height;
    const std::size_t row = static_cast<std::size_t>(y) * size.width;
    for (int channel = 0; channel < 3; ++channel) {
        const std::uint8_t* from = rgb + (bgr_ ? 2 - channel : channel);
        const std::size_t offset = plane * channel + row;
        if (as_float_) {
            float* to = static_cast<float*>(out) + offset;
            const float* table = table_[channel].data();
            for (int x = 0; x < size.width; ++x) to[x] = table[from[3 * x]];
        } else {
            std::uint8_t* to = static_cast<std::uint8_t*>(out) + offset;
            for (int x = 0; x < size.width; ++x) to[x] = from[3 * x];
        }
    }
}

}  // namespace emer
