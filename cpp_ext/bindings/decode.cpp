#include "image.h"
#include "module.h"

namespace emer::python {

void register_decode(pybind11::module_& module) { register_image(module); }

}  // namespace emer::python
