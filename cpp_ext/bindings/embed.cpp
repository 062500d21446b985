#include "module.h"

namespace emer::python {

void register_embed(pybind11::module_&) {}

}  // namespace emer::python
