// Writes GGUF files by hand, sound ones and liars.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "emer/error.h"

namespace emer::test {

struct Bytes {
    std::vector<std::uint8_t> data;

    template <typename T>
    Bytes& number(T value) {
        const std::size_t at = data.size();
        data.resize(at + sizeof(T));
        std::memcpy(data.data() + at, &value, sizeof(T));
        return *this;
    }
    Bytes& raw(const std::string& text) {
        data.insert(data.end(), text.begin(), text.end());
        return *this;
    }
    Bytes& text(const std::string& words) { return number(static_cast<std::uint64_t>(words.size())).raw(words); }
    Bytes& zeros(std::size_t count) {
        data.resize(data.size() + count);
        return *this;
    }
    Bytes& pad(std::size_t alignment) {
        data.resize((data.size() + alignment - 1) / alignment * alignment);
        return *this;
    }
    Bytes& tensor(const std::string& name, std::uint32_t type, const std::vector<std::uint64_t>& shape,
                  std::uint64_t offset) {
        text(name).number(static_cast<std::uint32_t>(shape.size()));
        for (const std::uint64_t length : shape) number(length);
        return number(type).number(offset);
    }
};

inline Bytes prologue(std::uint64_t tensors, std::uint64_t entries) {
    return Bytes().raw("GGUF").number(std::uint32_t{3}).number(tensors).number(entries);
}

// A token table of `rows` x `columns` numbers of the ggml type `type`, its bytes in `table`, and a few entries.
inline Bytes file_with_table(std::uint32_t type, std::uint64_t columns, std::uint64_t rows, const Bytes& table) {
    Bytes file = prologue(1, 4);
    file.text("general.architecture").number(std::uint32_t{8}).text("qwen3");
    file.text("qwen3.embedding_length").number(std::uint32_t{4}).number(static_cast<std::uint32_t>(columns));
    file.text("qwen3.rope.freq_base").number(std::uint32_t{6}).number(10000.0f);
    file.text("tokenizer.ggml.tokens").number(std::uint32_t{9}).number(std::uint32_t{8}).number(std::uint64_t{3});
    for (const char* token : {"a", "b", "<|im_end|>"}) file.text(token);
    file.tensor("token_embd.weight", type, {columns, rows}, 0).pad(32);
    file.data.insert(file.data.end(), table.data.begin(), table.data.end());
    return file;
}

inline Bytes sound_file() {
    Bytes table;
    for (int i = 0; i < 96; ++i) table.number(static_cast<float>(i) * 0.25f);
    return file_with_table(0, 32, 3, table);
}

}  // namespace emer::test
