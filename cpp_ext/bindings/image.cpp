#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "image.h"

#include <string>
#include <vector>

#include "emer/error.h"
#include "emer/image_resize.h"
#include "emer/image_warp.h"

namespace py = pybind11;

namespace emer::python {

namespace {

using Pixels = py::array_t<std::uint8_t, py::array::c_style>;
using Matrices = py::array_t<float, py::array::c_style>;

std::array<float, 3> three(const py::dict& spec, const char* key, float otherwise) {
    if (!spec.contains(key)) return {otherwise, otherwise, otherwise};
    return py::cast<std::array<float, 3>>(spec[key]);
}

ResizeMode resize_mode(const std::string& name) {
    if (name == "stretch") return ResizeMode::stretch;
    if (name == "shorter_crop") return ResizeMode::shorter_crop;
    if (name == "fit") return ResizeMode::fit;
    throw Error(Kind::input, "No resize rule is called '" + name + "'.", "Known: stretch, shorter_crop, fit.");
}

std::string text(const py::dict& spec, const char* key, const char* otherwise) {
    return spec.contains(key) ? py::cast<std::string>(spec[key]) : std::string(otherwise);
}

py::array resize(const Pixels& pixels, const py::dict& options) {
    if (pixels.ndim() != 4 || pixels.shape(3) != 3) {
        throw Error(Kind::input, "resize() takes pixels of shape [N, height, width, 3].");
    }
    const OutputSpec spec = output_spec(options);
    const Size source{static_cast<int>(pixels.shape(2)), static_cast<int>(pixels.shape(1))};
    if (source.width < 1 || source.height < 1) throw Error(Kind::input, "A picture without pixels can't be resized.");
    const Size size = output_size(source, spec);
    py::array out = empty_pictures(spec, pixels.shape(0), size);
    auto* to = static_cast<std::uint8_t*>(out.mutable_data());
    const std::uint8_t* from = pixels.data();
    const std::ptrdiff_t count = pixels.shape(0);
    const std::size_t bytes = static_cast<std::size_t>(size.width) * size.height * 3 * spec.value_bytes();
    const std::size_t bytes_in = static_cast<std::size_t>(source.width) * source.height * 3;
    {
        py::gil_scoped_release release;
        Resizer resizer(source, spec);
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            resizer.run(from + bytes_in * i, static_cast<std::ptrdiff_t>(source.width) * 3, to + bytes * i);
        }
    }
    return out;
}

py::array warp_faces(const Pixels& pixels, const Matrices& matrices, int height, int width, const py::dict& options) {
    if (pixels.ndim() != 4 || pixels.shape(1) != 3) {
        throw Error(Kind::input, "warp_faces() takes pixels of shape [N, 3, height, width].");
    }
    if (matrices.ndim() != 3 || matrices.shape(0) != pixels.shape(0) || matrices.shape(1) != 2 || matrices.shape(2) != 3) {
        throw Error(Kind::input, "warp_faces() takes one matrix of shape [2, 3] for each picture.");
    }
    const Size size{width, height};
    const OutputSpec spec = output_spec(options, &size);
    const Size source{static_cast<int>(pixels.shape(3)), static_cast<int>(pixels.shape(2))};
    py::array out = empty_pictures(spec, pixels.shape(0), size);
    auto* to = static_cast<std::uint8_t*>(out.mutable_data());
    const std::uint8_t* from = pixels.data();
    const float* matrix = matrices.data();
    const std::ptrdiff_t count = pixels.shape(0);
    const std::size_t bytes = static_cast<std::size_t>(width) * height * 3 * spec.value_bytes();
    const std::size_t bytes_in = static_cast<std::size_t>(source.width) * source.height * 3;
    {
        py::gil_scoped_release release;
        for (std::ptrdiff_t i = 0; i < count; ++i) warp_crop(from + bytes_in * i, source, matrix + 6 * i, spec, to + bytes * i);
    }
    return out;
}

}  // namespace

OutputSpec output_spec(const py::dict& options, const Size* size) {
    OutputSpec spec;
    if (size != nullptr) {
        spec.size = *size;
    } else {
        spec.size = {py::cast<int>(options["width"]), py::cast<int>(options["height"])};
    }
    spec.resize = resize_mode(text(options, "resize", "stretch"));
    const std::string order = text(options, "channel_order", "rgb");
    const std::string dtype = text(options, "dtype", "float32");
    if (order != "rgb" && order != "bgr") throw Error(Kind::input, "No channel order is called '" + order + "'.", "Known: rgb, bgr.");
    if (dtype != "float32" && dtype != "uint8") throw Error(Kind::input, "Frames can't be of type '" + dtype + "'.", "Known: float32, uint8.");
    spec.bgr = order == "bgr";
    spec.as_float = dtype == "float32";
    spec.mean = three(options, "mean", 0.0F);
    spec.std = three(options, "std", 1.0F);
    check_spec(spec);
    return spec;
}

py::array empty_pictures(const OutputSpec& spec, std::ptrdiff_t count, Size size) {
    const std::vector<py::ssize_t> shape{count, 3, size.height, size.width};
    if (spec.as_float) return py::array_t<float>(shape);
    return py::array_t<std::uint8_t>(shape);
}

void register_image(py::module_& module) {
    module.def("resize", &resize, py::arg("pixels"), py::arg("spec"),
               "uint8 [N, height, width, 3] RGB -> [N, 3, h, w] as `spec` (a dict) asks. Bicubic as Pillow's.");
    module.def("warp_faces", &warp_faces, py::arg("pixels"), py::arg("matrices"), py::arg("height"), py::arg("width"),
               py::arg("spec"),
               "uint8 [N, 3, H, W] RGB and float32 [N, 2, 3] source-to-crop matrices (x, y; pixel centres are integers) "
               "-> [N, 3, height, width]. Bicubic, antialiased, edge pixels repeated outside the source.");
}

}  // namespace emer::python
