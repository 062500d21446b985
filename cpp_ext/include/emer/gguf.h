// Reads the header of a GGUF file: metadata and the table of tensors, checked against the file, no weights.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace emer {

struct GgufLimits {
    std::uint64_t metadata = 4096;
    std::uint64_t tensors = 65536;
    std::uint64_t name_bytes = 63;  // llama.cpp holds 64 with the closing zero
    std::uint64_t key_bytes = 256;
    std::uint64_t text_bytes = 1 << 20;
    std::uint64_t array_items = 1 << 23;
};

// An array is told by the type and number of its items: a vocabulary of 150,000 words is walked, never copied.
struct GgufArray {
    std::uint32_t type = 0;
    std::uint64_t items = 0;
};

using GgufValue = std::variant<std::uint64_t, std::int64_t, double, bool, std::string, GgufArray>;

struct GgufEntry {
    std::string key;
    GgufValue value;
};

struct GgufTensor {
    std::string name;
    std::uint32_t type = 0;
    std::vector<std::uint64_t> shape;  // ggml's order: the row length first
    std::uint64_t offset = 0;          // from the start of the file
    std::uint64_t size_bytes = 0;
};

struct GgufHeader {
    std::uint32_t version = 0;
    std::uint64_t alignment = 32;
    std::uint64_t data_offset = 0;
    std::uint64_t file_bytes = 0;
    std::vector<GgufEntry> metadata;
    std::vector<GgufTensor> tensors;

    const GgufTensor* tensor(const std::string& name) const noexcept;
    const GgufValue* value(const std::string& key) const noexcept;
};

// Name of a ggml type, for example "Q4_K"; nullptr where the type is unknown.
const char* ggml_type_name(std::uint32_t type) noexcept;

// Reads nothing outside [data, data + size) and allocates no more than a small multiple of what it has read.
// Throws Error(Kind::pack) for every file that is not a sound GGUF file: the message says what and where.
GgufHeader parse_gguf(const std::uint8_t* data, std::size_t size, const GgufLimits& limits = {});

}  // namespace emer
