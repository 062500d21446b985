// How an output spec travels from Python: a dict of plain values. No arithmetic here.
#pragma once

#include <pybind11/numpy.h>

#include "emer/image.h"

namespace emer::python {

// Keys resize, channel_order, dtype, mean, std, and height and width unless `size` is given.
OutputSpec output_spec(const pybind11::dict& spec, const Size* size = nullptr);

// An empty [count, 3, height, width] array of the spec's dtype.
pybind11::array empty_pictures(const OutputSpec& spec, std::ptrdiff_t count, Size size);

void register_image(pybind11::module_& module);

}  // namespace emer::python
