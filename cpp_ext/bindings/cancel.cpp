#include "emer/cancel.h"

#include <memory>

#include "module.h"

namespace py = pybind11;

namespace emer::python {

void register_cancel(py::module_& module) {
    py::class_<CancelToken, std::shared_ptr<CancelToken>>(
        module, "CancelToken", "A flag: cancel() raises it, every native loop polls it.")
        .def(py::init<>())
        .def("cancel", &CancelToken::cancel)
        .def_property_readonly("cancelled", &CancelToken::cancelled);
}

}  // namespace emer::python
