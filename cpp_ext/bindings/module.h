// The table of contents of emer_edge._core: one register_x() per file beside this one.
#pragma once

#include <pybind11/pybind11.h>

namespace emer::python {

void register_error(pybind11::module_& module);
void register_cancel(pybind11::module_& module);
void register_decode(pybind11::module_& module);
void register_fuse(pybind11::module_& module);
void register_embed(pybind11::module_& module);
void register_gguf(pybind11::module_& module);

}  // namespace emer::python
