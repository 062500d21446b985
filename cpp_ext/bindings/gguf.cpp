#include "emer/gguf.h"

#include <pybind11/stl.h>

#include "emer/mapped_file.h"
#include "module.h"

namespace py = pybind11;

namespace emer::python {
namespace {

// A pack may say anything in its texts: bytes that are not UTF-8 are replaced, never raised.
py::object to_text(const std::string& text) {
    return py::reinterpret_steal<py::object>(
        PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

struct ToPython {
    py::object operator()(std::uint64_t value) const { return py::int_(value); }
    py::object operator()(std::int64_t value) const { return py::int_(value); }
    py::object operator()(double value) const { return py::float_(value); }
    py::object operator()(bool value) const { return py::bool_(value); }
    py::object operator()(const std::string& value) const { return to_text(value); }
    py::object operator()(const GgufArray& value) const {
        py::dict out;
        out["length"] = value.items;
        return std::move(out);
    }
};

py::dict gguf_header(const std::string& path, const py::dict& limits) {
    const auto most_bytes = py::cast<std::uint64_t>(limits["pack_bytes"]);
    GgufHeader header;
    {
        const py::gil_scoped_release released;
        const MappedFile file(path, most_bytes);
        header = parse_gguf(file.data(), file.size());
    }
    py::dict metadata;
    for (const GgufEntry& entry : header.metadata) metadata[py::str(entry.key)] = std::visit(ToPython{}, entry.value);
    py::dict tensors;
    for (const GgufTensor& tensor : header.tensors) {
        py::dict one;
        one["type"] = ggml_type_name(tensor.type);
        one["shape"] = py::tuple(py::cast(tensor.shape));
        one["offset"] = tensor.offset;
        one["size_bytes"] = tensor.size_bytes;
        tensors[py::str(tensor.name)] = std::move(one);
    }
    py::dict out;
    out["version"] = header.version;
    out["metadata"] = std::move(metadata);
    out["tensors"] = std::move(tensors);
    out["data_offset"] = header.data_offset;
    out["file_bytes"] = header.file_bytes;
    return out;
}

}  // namespace

void register_gguf(py::module_& module) {
    module.def("gguf_header", &gguf_header, py::arg("path"), py::arg("limits"),
               "Metadata and tensor table of a GGUF file, checked; an array is told as {'length': n}.");
}

}  // namespace emer::python
