#include "module.h"

PYBIND11_MODULE(_core, module) {
    module.doc() = "Decode, fuse and embed: the native part of emer-edge. The GIL is released round all work.";
    using namespace emer::python;
    register_error(module);
    register_cancel(module);
    register_decode(module);
    register_fuse(module);
    register_embed(module);
    register_gguf(module);
}
