#include "emer/cancel.h"

#include <cstdint>
#include <memory>

#include "module.h"

namespace py = pybind11;

namespace emer::python {
namespace {

extern "C" bool emer_cancelled(void* token) { return static_cast<const CancelToken*>(token)->cancelled(); }

}  // namespace

void register_cancel(py::module_& module) {
    py::class_<CancelToken, std::shared_ptr<CancelToken>>(
        module, "CancelToken", "A flag: cancel() raises it, every native loop polls it.")
        .def(py::init<>())
        .def("cancel", &CancelToken::cancel)
        .def_property_readonly("cancelled", &CancelToken::cancelled)
        .def_property_readonly(
            "abort_callback",
            [](const CancelToken& token) {
                return std::make_pair(reinterpret_cast<std::uintptr_t>(&emer_cancelled),
                                      reinterpret_cast<std::uintptr_t>(&token));
            },
            "Addresses of a C function bool(void*) and of its argument, for a library that polls without the GIL; "
            "valid while the token lives.");
}

}  // namespace emer::python
