// Turns rows of ggml's number formats into float32. Pure functions, any number of threads.
// Block layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emer {

// Writes `items` floats from `from`; `items` is a whole number of blocks (1, 32 or 256 items by format).
using Dequantize = void (*)(const std::uint8_t* from, float* to, std::size_t items);

// The reader of a ggml type: F32, F16, BF16, Q4_0, Q8_0, Q4_K, Q5_K, Q6_K; nullptr for every other.
Dequantize dequantizer(std::uint32_t type) noexcept;

}  // namespace emer
