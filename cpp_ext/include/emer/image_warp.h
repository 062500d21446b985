// Cuts affine crops (aligned faces) out of planar pictures. Knows no detector and no Python.
#pragma once

#include <cstdint>

#include "emer/image.h"

namespace emer {

// The 2x3 matrix maps source pixel coordinates (x, y, 1) to crop coordinates; pixel centres are integers.
// Bicubic; where the crop is smaller than its source region, that region is first reduced (antialiased).
// Positions outside the source take the nearest edge pixel.
// `planes`: [3, source.height, source.width] RGB. `out`: [3, spec.size.height, spec.size.width].
// Throws Error(input) when the matrix is not finite, is singular, or scales by more than 1000.
void warp_crop(const std::uint8_t* planes, Size source, const float* matrix, const OutputSpec& spec, void* out);

}  // namespace emer
