// The one exception of the native part. Carries a kind, so that Python can raise the right EmerError.
#pragma once

#include <stdexcept>
#include <string>

namespace emer {

// The names are those of emer_edge.errors without the suffix "Error".
enum class Kind { input, media, unsupported_media, pack, limit, cancelled };

const char* kind_name(Kind kind);

class Error : public std::runtime_error {
public:
    Error(Kind kind, const std::string& what, std::string why = {})
        : std::runtime_error(what), kind_(kind), why_(std::move(why)) {}
    Kind kind() const noexcept { return kind_; }
    const std::string& why() const noexcept { return why_; }

private:
    Kind kind_;
    std::string why_;
};

}  // namespace emer
