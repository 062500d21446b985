#include "module.h"

namespace emer::python {

void register_gguf(pybind11::module_&) {}

}  // namespace emer::python
