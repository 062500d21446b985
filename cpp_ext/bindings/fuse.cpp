#include "emer/fuse.h"

#include <pybind11/numpy.h>

#include <memory>
#include <optional>
#include <vector>

#include "emer/error.h"
#include "module.h"

namespace py = pybind11;

namespace emer::python {
namespace {

using Array = py::array_t<float, py::array::c_style>;

FusionKind to_kind(const std::string& kind) {
    if (kind == "attention") return FusionKind::attention;
    if (kind == "mean") return FusionKind::mean;
    throw Error(Kind::pack, "No fusion is called " + kind, "attention and mean are known");
}

std::unique_ptr<Fusion> new_fusion(const std::string& kind, const py::dict& tensors) {
    std::map<std::string, TensorView> views;
    std::vector<py::object> held;  // the arrays, while the GIL is away
    for (const auto& [key, value] : tensors) {
        const auto name = py::cast<std::string>(key);
        if (!py::isinstance<Array>(value)) throw Error(Kind::pack, "The tensor " + name + " is not float32 in C order");
        const auto array = py::reinterpret_borrow<Array>(value);
        held.push_back(array);
        views[name] = {array.data(), {array.shape(), array.shape() + array.ndim()}};
    }
    const FusionKind chosen = to_kind(kind);
    const py::gil_scoped_release released;
    return std::make_unique<Fusion>(chosen, views);
}

std::optional<Embeddings> to_embeddings(const py::object& item, std::size_t dim, const char* modality) {
    if (item.is_none()) return std::nullopt;
    if (!py::isinstance<Array>(item))
        throw Error(Kind::input, std::string("The ") + modality + " embeddings are not float32 in C order");
    const auto array = py::reinterpret_borrow<Array>(item);
    if (array.ndim() != 2 || array.shape(1) != static_cast<py::ssize_t>(dim))
        throw Error(Kind::input, std::string("The ") + modality + " embeddings do not have the shape of the fusion",
                    "expected (steps, " + std::to_string(dim) + ")");
    return Embeddings{array.data(), static_cast<std::size_t>(array.shape(0))};
}

py::dict fuse(const Fusion& fusion, const py::object& vision, const py::object& audio) {
    const auto seen = to_embeddings(vision, fusion.vision_dim(), "vision");
    const auto heard = to_embeddings(audio, fusion.audio_dim(), "audio");
    const auto row = [&fusion] { return Array({py::ssize_t{1}, static_cast<py::ssize_t>(fusion.model_dim())}); };
    py::dict out;
    float* multi_to = nullptr;
    float* audio_to = nullptr;
    float* vision_to = nullptr;
    const auto add = [&](const char* name, float*& to) {
        Array token = row();
        to = token.mutable_data();
        out[name] = std::move(token);
    };
    if (seen && heard) add("multi", multi_to);
    if (heard) add("audio", audio_to);
    if (seen) add("vision", vision_to);
    const py::gil_scoped_release released;
    if (multi_to) fusion.multi(*seen, *heard, multi_to);
    if (audio_to) fusion.audio(*heard, audio_to);
    if (vision_to) fusion.vision(*seen, vision_to);
    return out;
}

}  // namespace

void register_fuse(py::module_& module) {
    py::class_<Fusion>(module, "Fusion", "Embeddings to soft tokens; owns its weights; any number of threads may enter.")
        .def(py::init(&new_fusion), py::arg("kind"), py::arg("tensors"))
        .def_property_readonly("vision_dim", &Fusion::vision_dim)
        .def_property_readonly("audio_dim", &Fusion::audio_dim)
        .def_property_readonly("model_dim", &Fusion::model_dim)
        .def("fuse", &fuse, py::arg("vision"), py::arg("audio"),
             "Embeddings float32 (T, dim) or None -> {'multi', 'audio', 'vision'}: float32 (1, model_dim); "
             "multi only when both are given.");
}

}  // namespace emer::python
