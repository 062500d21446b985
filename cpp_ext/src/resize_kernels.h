// The inner loops of the resizer, compiled once per instruction set. Not part of the public headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emer/image_resize.h"

namespace emer::kernels {

constexpr int kBlockRows = 8;  // rows that the horizontal pass works on at once

// rows[8] of `bytes` bytes -> block[bytes][8]. Rows beyond `count` repeat the last one.
void gather_rows(const std::uint8_t* first_row, std::ptrdiff_t stride, int count, std::size_t bytes,
                 std::uint8_t* block);

// block[bytes][8] -> `count` rows.
void scatter_rows(const std::uint8_t* block, std::size_t bytes, int count, std::uint8_t* first_row,
                  std::ptrdiff_t stride);

// block_in[source width * 3][8] -> block_out[positions * 3][8].
void resize_columns(const std::uint8_t* block_in, const Taps& taps, std::uint8_t* block_out);

// `taps.count[position]` rows -> one row of `bytes` bytes; `sums` is scratch of that length.
void resize_row(const std::uint8_t* first_row, std::ptrdiff_t stride, const std::int32_t* weights, int count,
                std::size_t bytes, std::int32_t* sums, std::uint8_t* out);

}  // namespace emer::kernels
