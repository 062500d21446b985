#include "emer/embed.h"

#include <pybind11/numpy.h>

#include <memory>

#include "emer/error.h"
#include "module.h"

namespace py = pybind11;

namespace emer::python {
namespace {

using Ids = py::array_t<std::int32_t, py::array::c_style>;
using Rows = py::array_t<float, py::array::c_style>;

Rows new_rows(std::size_t count, std::size_t n_embd) {
    return Rows({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(n_embd)});
}

Rows table_rows(const EmbeddingTable& table, const Ids& ids) {
    if (ids.ndim() != 1) throw Error(Kind::input, "Token ids are not one-dimensional");
    const auto count = static_cast<std::size_t>(ids.size());
    Rows out = new_rows(count, table.n_embd());
    const std::int32_t* from = ids.data();
    float* to = out.mutable_data();
    const py::gil_scoped_release released;
    table.rows(from, count, to);
    return out;
}

Segment to_segment(const EmbeddingTable& table, const py::handle& item) {
    Segment out;
    if (py::isinstance<Ids>(item)) {
        const auto ids = py::reinterpret_borrow<Ids>(item);
        if (ids.ndim() != 1) throw Error(Kind::input, "A segment of token ids is not one-dimensional");
        out.ids = ids.data();
        out.count = static_cast<std::size_t>(ids.size());
    } else if (py::isinstance<Rows>(item)) {
        const auto rows = py::reinterpret_borrow<Rows>(item);
        if (rows.ndim() != 2 || rows.shape(1) != static_cast<py::ssize_t>(table.n_embd()))
            throw Error(Kind::input, "A segment of soft tokens does not have rows as wide as the model",
                        "n_embd is " + std::to_string(table.n_embd()));
        out.rows = rows.data();
        out.count = static_cast<std::size_t>(rows.shape(0));
    } else {
        throw Error(Kind::input, "A segment is neither int32 ids nor float32 rows in C order");
    }
    return out;
}

Rows lay(const EmbeddingTable& table, const py::list& items) {
    // A tuple of our own keeps every array alive while the GIL is away, whatever the caller does to the list.
    const py::tuple held(items);
    std::vector<Segment> segments;
    std::size_t count = 0;
    for (const py::handle item : held) {
        segments.push_back(to_segment(table, item));
        count += segments.back().count;
    }
    Rows out = new_rows(count, table.n_embd());
    float* to = out.mutable_data();
    const py::gil_scoped_release released;
    table.lay(segments, to);
    return out;
}

std::unique_ptr<EmbeddingTable> open_table(const std::string& path) {
    const py::gil_scoped_release released;
    return std::make_unique<EmbeddingTable>(path);
}

}  // namespace

void register_embed(py::module_& module) {
    py::class_<EmbeddingTable>(module, "EmbeddingTable",
                               "The token table of a GGUF file, memory-mapped; any number of threads may read it.")
        .def(py::init(&open_table), py::arg("path"))
        .def_property_readonly("n_rows", &EmbeddingTable::n_rows)
        .def_property_readonly("n_embd", &EmbeddingTable::n_embd)
        .def_property_readonly("type", &EmbeddingTable::type)
        .def("rows", &table_rows, py::arg("ids").noconvert(), "ids int32 (n,) -> float32 (n, n_embd).")
        .def("lay", &lay, py::arg("segments"),
             "A list of int32 ids (k,) and float32 rows (k, n_embd) -> one float32 (n, n_embd).");
}

}  // namespace emer::python
