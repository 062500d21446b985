#include "emer/gguf.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>
#include <unordered_set>

#include "emer/error.h"

namespace emer {
namespace {

enum ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

struct TypeTraits {
    std::uint32_t type;
    const char* name;
    std::uint64_t block_items;
    std::uint64_t block_bytes;
};

// ggml's types that stand in files, with the size of one block.
constexpr TypeTraits kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},
    {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},        {26, "I32", 1, 4},
    {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},
    {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

const TypeTraits* traits(std::uint32_t type) noexcept {
    for (const TypeTraits& candidate : kTypes)
        if (candidate.type == type) return &candidate;
    return nullptr;
}

std::uint64_t scalar_bytes(std::uint32_t type) noexcept {
    switch (type) {
        case u8: case i8: case boolean: return 1;
        case u16: case i16: return 2;
        case u32: case i32: case f32: return 4;
        case u64: case i64: case f64: return 8;
        default: return 0;
    }
}

[[noreturn]] void refuse(const std::string& why) { throw Error(Kind::pack, "This is not a sound GGUF file", why); }

// A cursor that can't leave the file. Every read asks first whether the bytes are there.
class Reader {
public:
    Reader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::uint64_t position() const { return position_; }
    std::uint64_t left() const { return size_ - position_; }

    void skip(std::uint64_t bytes) {
        if (bytes > left()) refuse("it ends inside its header, at byte " + std::to_string(size_));
        position_ += static_cast<std::size_t>(bytes);
    }

    template <typename T>
    T number() {
        const std::uint8_t* from = data_ + position_;
        skip(sizeof(T));
        T value;
        std::memcpy(&value, from, sizeof(T));
        return value;
    }

    std::string_view words(std::uint64_t most, const char* what) {
        const auto length = number<std::uint64_t>();
        if (length > most)
            refuse(std::string(what) + " of " + std::to_string(length) + " bytes at byte " + std::to_string(position_));
        const char* from = reinterpret_cast<const char*>(data_ + position_);
        skip(length);
        return {from, static_cast<std::size_t>(length)};
    }

private:
    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t position_ = 0;
};

std::string_view plain_name(std::string_view name, const char* what) {
    if (name.empty()) refuse(std::string(what) + " is empty");
    for (const char letter : name)
        if (letter <= ' ' || letter > '~') refuse(std::string(what) + " holds a letter that is not printable ASCII");
    return name;
}

GgufArray read_array(Reader& reader, const GgufLimits& limits, const std::string& key) {
    GgufArray out;
    out.type = reader.number<std::uint32_t>();
    out.items = reader.number<std::uint64_t>();
    if (out.type == array) refuse(key + " is an array of arrays");
    if (out.items > limits.array_items) refuse(key + " has " + std::to_string(out.items) + " items");
    if (out.type == text) {
        // Eight bytes of length each: a count that can't fit is refused before the walk.
        if (out.items > reader.left() / 8) refuse(key + " has more items than the file has bytes");
        for (std::uint64_t i = 0; i < out.items; ++i) reader.words(limits.text_bytes, "a text");
        return out;
    }
    const std::uint64_t bytes = scalar_bytes(out.type);
    if (bytes == 0) refuse(key + " has items of the unknown type " + std::to_string(out.type));
    reader.skip(out.items * bytes);  // at most 2^23 * 8: no overflow
    return out;
}

GgufValue read_value(Reader& reader, const GgufLimits& limits, const std::string& key) {
    const auto type = reader.number<std::uint32_t>();
    switch (type) {
        case u8: return std::uint64_t{reader.number<std::uint8_t>()};
        case u16: return std::uint64_t{reader.number<std::uint16_t>()};
        case u32: return std::uint64_t{reader.number<std::uint32_t>()};
        case u64: return reader.number<std::uint64_t>();
        case i8: return std::int64_t{reader.number<std::int8_t>()};
        case i16: return std::int64_t{reader.number<std::int16_t>()};
        case i32: return std::int64_t{reader.number<std::int32_t>()};
        case i64: return reader.number<std::int64_t>();
        case f32: return double{reader.number<float>()};
        case f64: return reader.number<double>();
        case text: return std::string(reader.words(limits.text_bytes, "a text"));
        case array: return read_array(reader, limits, key);
        case boolean: {
            const auto flag = reader.number<std::uint8_t>();
            if (flag > 1) refuse(key + " is neither true nor false");
            return flag == 1;
        }
        default: refuse(key + " has the unknown type " + std::to_string(type));
    }
}

void read_metadata(Reader& reader, const GgufLimits& limits, std::uint64_t entries, GgufHeader& header) {
    std::unordered_set<std::string_view> seen;
    for (std::uint64_t i = 0; i < entries; ++i) {
        const std::string_view key = plain_name(reader.words(limits.key_bytes, "a key"), "a key");
        if (!seen.insert(key).second) refuse(std::string(key) + " stands twice in the metadata");
        std::string name(key);
        GgufValue value = read_value(reader, limits, name);
        header.metadata.push_back({std::move(name), std::move(value)});
    }
    if (const GgufValue* value = header.value("general.alignment")) {
        const std::uint64_t* alignment = std::get_if<std::uint64_t>(value);
        if (!alignment || *alignment == 0 || (*alignment & (*alignment - 1)) != 0 || *alignment > 65536)
            refuse("general.alignment is not a power of two up to 65536");
        header.alignment = *alignment;
    }
}

std::uint64_t tensor_bytes(const GgufTensor& tensor) {
    const TypeTraits* type = traits(tensor.type);
    if (!type) refuse(tensor.name + " has the unknown type " + std::to_string(tensor.type));
    if (tensor.shape[0] % type->block_items != 0)
        refuse(tensor.name + " has rows that are no whole number of " + type->name + " blocks");
    // Signed 64 bits is what ggml counts elements in.
    std::uint64_t room = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 8;
    std::uint64_t items = 1;
    for (const std::uint64_t length : tensor.shape) {
        if (length == 0) refuse(tensor.name + " has an empty axis");
        if (length > room) refuse(tensor.name + " has more elements than can be counted");
        items *= length;
        room /= length;
    }
    const std::uint64_t blocks = items / type->block_items;
    if (blocks > std::numeric_limits<std::uint64_t>::max() / type->block_bytes)
        refuse(tensor.name + " has more bytes than can be counted");
    return blocks * type->block_bytes;
}

void read_tensors(Reader& reader, const GgufLimits& limits, std::uint64_t tensors, GgufHeader& header) {
    std::unordered_set<std::string_view> seen;
    for (std::uint64_t i = 0; i < tensors; ++i) {
        GgufTensor tensor;
        const std::string_view name = plain_name(reader.words(limits.name_bytes, "a tensor name"), "a tensor name");
        if (!seen.insert(name).second) refuse("the tensor " + std::string(name) + " stands twice");
        tensor.name = name;
        const auto axes = reader.number<std::uint32_t>();
        if (axes < 1 || axes > 4) refuse(tensor.name + " has " + std::to_string(axes) + " axes");
        for (std::uint32_t axis = 0; axis < axes; ++axis) tensor.shape.push_back(reader.number<std::uint64_t>());
        tensor.type = reader.number<std::uint32_t>();
        tensor.offset = reader.number<std::uint64_t>();
        tensor.size_bytes = tensor_bytes(tensor);
        if (tensor.offset % header.alignment != 0) refuse(tensor.name + " is not aligned");
        header.tensors.push_back(std::move(tensor));
    }
}

// Offsets are relative to the data section until here.
void place_tensors(GgufHeader& header) {
    const std::uint64_t room = header.file_bytes - header.data_offset;
    std::vector<const GgufTensor*> order;
    for (GgufTensor& tensor : header.tensors) {
        if (tensor.offset > room || tensor.size_bytes > room - tensor.offset)
            refuse(tensor.name + " lies outside the file");
        tensor.offset += header.data_offset;
        order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(),
              [](const GgufTensor* left, const GgufTensor* right) { return left->offset < right->offset; });
    for (std::size_t i = 1; i < order.size(); ++i)
        if (order[i - 1]->offset + order[i - 1]->size_bytes > order[i]->offset)
            refuse(order[i]->name + " overlaps " + order[i - 1]->name);
}

}  // namespace

const GgufTensor* GgufHeader::tensor(const std::string& name) const noexcept {
    for (const GgufTensor& candidate : tensors)
        if (candidate.name == name) return &candidate;
    return nullptr;
}

const GgufValue* GgufHeader::value(const std::string& key) const noexcept {
    for (const GgufEntry& candidate : metadata)
        if (candidate.key == key) return &candidate.value;
    return nullptr;
}

const char* ggml_type_name(std::uint32_t type) noexcept {
    const TypeTraits* found = traits(type);
    return found ? found->name : nullptr;
}

GgufHeader parse_gguf(const std::uint8_t* data, std::size_t size, const GgufLimits& limits) {
    Reader reader(data, size);
    if (size < 24 || std::memcmp(data, "GGUF", 4) != 0) refuse("it does not begin with GGUF");
    reader.skip(4);
    GgufHeader header;
    header.file_bytes = size;
    header.version = reader.number<std::uint32_t>();
    if (header.version != 2 && header.version != 3)
        refuse("version " + std::to_string(header.version) + " is neither 2 nor 3, or the file is big-endian");
    const auto tensors = reader.number<std::uint64_t>();
    const auto entries = reader.number<std::uint64_t>();
    if (tensors > limits.tensors) refuse(std::to_string(tensors) + " tensors are too many");
    if (entries > limits.metadata) refuse(std::to_string(entries) + " metadata entries are too many");
    read_metadata(reader, limits, entries, header);
    read_tensors(reader, limits, tensors, header);
    const std::uint64_t end = reader.position();
    header.data_offset = (end + header.alignment - 1) / header.alignment * header.alignment;
    if (header.data_offset > size) {
        // A file without tensors may end before the padding.
        if (tensors > 0) refuse("it ends before its data");
        header.data_offset = size;
    }
    place_tensors(header);
    return header;
}

}  // namespace emer
