// Resizes RGB pictures with the antialiased bicubic of Pillow (a = -0.5, 8-bit fixed point, horizontal
// pass first, rounded between passes). Knows no codec and no Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emer/image.h"

namespace emer {

// For each output position: the first source position, and `width` fixed-point weights.
struct Taps {
    int width = 0;
    std::vector<int> first;
    std::vector<int> count;
    std::vector<std::int32_t> weights;  // [positions][width], 22 fractional bits
};

constexpr int kWeightBits = 22;

// Bicubic convolution kernel, a = -0.5 (Keys 1981).
double cubic(double x);

// Weights for the positions [begin, begin + length) of an axis resized from `in` to `out`.
Taps bicubic_taps(int in, int out, int begin, int length);

// One source size to one output spec. Owns its scratch memory: one thread per Resizer.
class Resizer {
public:
    Resizer(Size source, const OutputSpec& spec);

    Size source() const { return source_; }
    Size output() const { return output_; }

    // `rgb`: source.height rows of source.width * 3 bytes, `stride` bytes apart.
    // `out`: [3, output.height, output.width] of spec.value_bytes() each.
    void run(const std::uint8_t* rgb, std::ptrdiff_t stride, void* out);

private:
    void horizontal(const std::uint8_t* rgb, std::ptrdiff_t stride);

    Size source_;
    Size scaled_;  // after scaling, before cropping
    Size output_;
    int left_ = 0;
    int top_ = 0;
    PixelWriter writer_;
    Taps columns_;
    Taps rows_;
    int first_row_ = 0;  // source rows that the vertical pass reads
    int row_count_ = 0;
    std::vector<std::uint8_t> narrow_;  // [row_count_][output.width * 3]
    std::vector<std::uint8_t> block_in_;
    std::vector<std::uint8_t> block_out_;
    std::vector<std::int32_t> sums_;
    std::vector<std::uint8_t> row_;
};

}  // namespace emer
