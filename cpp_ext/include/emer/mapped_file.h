// A file mapped into memory, read only. The mapping lives as long as the object; any number of threads may read it.
// The size is taken when the file is opened: a file that another process shortens afterwards raises SIGBUS on access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace emer {

class MappedFile {
public:
    // Throws Error(Kind::pack): no regular file, a symbolic link, empty, or not mappable.
    // Throws Error(Kind::limit): larger than `most_bytes`.
    MappedFile(const std::string& path, std::uint64_t most_bytes);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const std::uint8_t* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    const std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace emer
