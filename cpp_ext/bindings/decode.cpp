#include "module.h"

namespace emer::python {

void register_decode(pybind11::module_&) {}

}  // namespace emer::python
