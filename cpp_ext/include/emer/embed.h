// The token-embedding table of a GGUF file, and the one sequence that is laid from its rows and from soft tokens.
// The object owns the mapping of the file and nothing else changes after construction: any number of threads may enter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "emer/dequantize.h"
#include "emer/mapped_file.h"

namespace emer {

// A piece of the sequence: token ids, or rows of n_embd floats; exactly one pointer is set. Not owned.
struct Segment {
    const std::int32_t* ids = nullptr;
    const float* rows = nullptr;
    std::size_t count = 0;
};

class EmbeddingTable {
public:
    // Throws Error(Kind::pack): no sound GGUF file, no `token_embd.weight`, or a number format without a reader.
    explicit EmbeddingTable(const std::string& path);

    std::size_t n_rows() const noexcept { return n_rows_; }
    std::size_t n_embd() const noexcept { return n_embd_; }
    const char* type() const noexcept { return type_; }

    // Writes count x n_embd floats. Throws Error(Kind::input) for an id outside the table, before anything is written,
    // and Error(Kind::pack) where the table holds a number that is not finite.
    void rows(const std::int32_t* ids, std::size_t count, float* to) const;

    // Writes all segments one after the other: sum(count) x n_embd floats. Errors as rows(), and Error(Kind::input)
    // for soft tokens that are not finite.
    void lay(const std::vector<Segment>& segments, float* to) const;

private:
    void check(const std::int32_t* ids, std::size_t count) const;
    void write(const std::int32_t* ids, std::size_t count, float* to) const;

    MappedFile file_;
    const std::uint8_t* data_ = nullptr;
    std::size_t row_bytes_ = 0;
    std::size_t n_rows_ = 0;
    std::size_t n_embd_ = 0;
    const char* type_ = "";
    Dequantize dequantize_ = nullptr;
};

// True when every number is finite.
bool all_finite(const float* numbers, std::size_t count) noexcept;

}  // namespace emer
