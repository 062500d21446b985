// RGB from the planar YUV that swscale converts differently from version to version: samples of 9 to 16 bits, and
// 8-bit 4:2:0 of odd size.
#pragma once

#include "media_libav.h"

namespace emer::libav {

// Whether the picture is one that planar_to_rgb() should take.
bool is_for_planar(int format, int width, int height);

// `coefficients`: four values of sws_getCoefficients(). `rgb`: frame.height rows, `stride` bytes apart.
// Chroma of 4:2:0 lies left of its luma pair and halfway between rows and is interpolated linearly; the two pixels
// of a pair share it, unless the width is odd. Levels are cut where swscale cuts them, so that all clips look alike.
void planar_to_rgb(const AVFrame& frame, const int* coefficients, bool full_range, std::uint8_t* rgb,
                   std::ptrdiff_t stride);

}  // namespace emer::libav
