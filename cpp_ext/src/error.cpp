#include "emer/error.h"

namespace emer {

const char* kind_name(Kind kind) {
    switch (kind) {
        case Kind::input: return "input";
        case Kind::media: return "media";
        case Kind::unsupported_media: return "unsupported_media";
        case Kind::pack: return "pack";
        case Kind::limit: return "limit";
        case Kind::cancelled: return "cancelled";
    }
    return "media";
}

}  // namespace emer
