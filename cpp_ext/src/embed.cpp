#include "emer/embed.h"

#include <cstring>
#include <limits>

#include "emer/error.h"
#include "emer/gguf.h"

namespace emer {

bool all_finite(const float* numbers, std::size_t count) noexcept {
    // An all-ones exponent is infinity or NaN; integers, so that no compiler flag can optimise the question away.
    std::uint32_t bad = 0;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, numbers + i, sizeof bits);
        bad |= static_cast<std::uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
    }
    return bad == 0;
}

EmbeddingTable::EmbeddingTable(const std::string& path) : file_(path, std::numeric_limits<std::uint64_t>::max()) {
    const GgufHeader header = parse_gguf(file_.data(), file_.size());
    const GgufTensor* table = header.tensor("token_embd.weight");
    if (!table) throw Error(Kind::pack, path + " has no token table", "token_embd.weight is missing");
    if (table->shape.size() != 2) throw Error(Kind::pack, "token_embd.weight is no matrix", path);
    type_ = ggml_type_name(table->type);
    dequantize_ = dequantizer(table->type);
    if (!dequantize_)
        throw Error(Kind::pack, std::string("token_embd.weight is stored as ") + type_,
                    "its rows can be read from F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K and Q6_K");
    n_embd_ = static_cast<std::size_t>(table->shape[0]);
    n_rows_ = static_cast<std::size_t>(table->shape[1]);
    if (n_rows_ > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw Error(Kind::pack, "token_embd.weight has more rows than ids can name", path);
    row_bytes_ = static_cast<std::size_t>(table->size_bytes) / n_rows_;
    data_ = file_.data() + table->offset;
}

void EmbeddingTable::check(const std::int32_t* ids, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i)
        if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= n_rows_)
            throw Error(Kind::input, "Token id " + std::to_string(ids[i]) + " is not in the vocabulary",
                        "ids run from 0 to " + std::to_string(n_rows_ - 1));
}

void EmbeddingTable::write(const std::int32_t* ids, std::size_t count, float* to) const {
    for (std::size_t i = 0; i < count; ++i) {
        float* row = to + i * n_embd_;
        dequantize_(data_ + static_cast<std::size_t>(ids[i]) * row_bytes_, row, n_embd_);
        if (!all_finite(row, n_embd_))
            throw Error(Kind::pack, "The token table holds a number that is not finite",
                        "row " + std::to_string(ids[i]) + " of token_embd.weight");
    }
}

void EmbeddingTable::rows(const std::int32_t* ids, std::size_t count, float* to) const {
    check(ids, count);
    write(ids, count, to);
}

void EmbeddingTable::lay(const std::vector<Segment>& segments, float* to) const {
    for (const Segment& segment : segments) {
        if (segment.ids)
            check(segment.ids, segment.count);
        else if (!all_finite(segment.rows, segment.count * n_embd_))
            throw Error(Kind::input, "A soft token holds a number that is not finite");
    }
    for (const Segment& segment : segments) {
        const std::size_t numbers = segment.count * n_embd_;
        if (segment.ids)
            write(segment.ids, segment.count, to);
        else if (numbers > 0)
            std::memcpy(to, segment.rows, numbers * sizeof(float));
        to += numbers;
    }
}

}  // namespace emer
