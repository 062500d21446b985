// RGB from planar YUV of 9 to 16 bits, which swscale converts differently from version to version.
#pragma once

#include "media_libav.h"

namespace emer::libav {

// Whether the format is one that deep_to_rgb() takes.
bool is_deep_planar(int format);

// `coefficients`: four values of sws_getCoefficients(). `rgb`: frame.height rows, `stride` bytes apart.
// Chroma samples lie left of their luma pair and halfway between rows; they are interpolated linearly and shared by
// the two pixels of a pair. 4:2:0, 4:2:2 and 4:4:4.
void deep_to_rgb(const AVFrame& frame, const int* coefficients, bool full_range, std::uint8_t* rgb,
                 std::ptrdiff_t stride);

}  // namespace emer::libav
