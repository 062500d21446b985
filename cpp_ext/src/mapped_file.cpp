#include "emer/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "emer/error.h"

namespace emer {
namespace {

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }

private:
    int number_;
};

}  // namespace

MappedFile::MappedFile(const std::string& path, std::uint64_t most_bytes) {
    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.number() < 0) throw Error(Kind::pack, "Can't open " + path, std::strerror(errno));
    struct stat status {};
    if (::fstat(file.number(), &status) != 0) throw Error(Kind::pack, "Can't read " + path, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) throw Error(Kind::pack, path + " is not a regular file");
    if (status.st_size <= 0) throw Error(Kind::pack, path + " is empty");
    if (static_cast<std::uint64_t>(status.st_size) > most_bytes)
        throw Error(Kind::limit, path + " is larger than the limit", std::to_string(status.st_size) + " bytes");
    size_ = static_cast<std::size_t>(status.st_size);
    void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (mapping == MAP_FAILED) throw Error(Kind::pack, "Can't map " + path, std::strerror(errno));
    data_ = static_cast<const std::uint8_t*>(mapping);
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::uint8_t*>(data_), size_); }

}  // namespace emer
