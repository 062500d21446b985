#include "emer/error.h"

#include "module.h"

namespace py = pybind11;

namespace emer::python {

// _core.CoreError carries args (kind, what, why); emer_edge.media and emer_edge.packs turn it into an EmerError.
void register_error(py::module_& module) {
    static PyObject* core_error = nullptr;
    core_error = PyErr_NewException("emer_edge._core.CoreError", PyExc_RuntimeError, nullptr);
    module.attr("CoreError") = py::reinterpret_borrow<py::object>(core_error);
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const Error& error) {
            py::object what = py::reinterpret_steal<py::object>(
                PyUnicode_DecodeUTF8(error.what(), static_cast<Py_ssize_t>(std::string(error.what()).size()), "replace"));
            py::object why = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
                error.why().c_str(), static_cast<Py_ssize_t>(error.why().size()), "replace"));
            PyErr_SetObject(core_error, py::make_tuple(kind_name(error.kind()), what, why).ptr());
        }
    });
}

}  // namespace emer::python
