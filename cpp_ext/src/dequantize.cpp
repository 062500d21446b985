#include "emer/dequantize.h"

#include <cstring>

namespace emer {
namespace {

float float_from_bits(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

std::uint16_t load16(const std::uint8_t* from) {
    std::uint16_t value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// Without branches, which small numbers, subnormal or not at random, would mispredict.
float half_to_float(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const std::uint32_t rest = half & 0x7fffu;
    // Moving the exponent's bias from 15 to 127; infinities and NaNs, whose exponent is all ones, once more.
    const std::uint32_t shift = rest >= 0x7c00u ? 0x70000000u : 0x38000000u;
    const float normal = float_from_bits((rest << 13) + shift);
    // Subnormal: mantissa times 2^-24, exact in float32 whatever the flush mode of this thread is.
    const float subnormal = static_cast<float>(static_cast<std::int32_t>(rest)) * 0x1p-24f;
    const float magnitude = rest < 0x0400u ? subnormal : normal;
    std::uint32_t bits;
    std::memcpy(&bits, &magnitude, sizeof bits);
    return float_from_bits(bits | sign);
}

void from_f32(const std::uint8_t* from, float* to, std::size_t items) { std::memcpy(to, from, items * sizeof(float)); }

void from_f16(const std::uint8_t* from, float* to, std::size_t items) {
    for (std::size_t i = 0; i < items; ++i) to[i] = half_to_float(load16(from + 2 * i));
}

void from_bf16(const std::uint8_t* from, float* to, std::size_t items) {
    for (std::size_t i = 0; i < items; ++i)
        to[i] = float_from_bits(static_cast<std::uint32_t>(load16(from + 2 * i)) << 16);
}

// Block of 32: half scale, 16 bytes; the low nibbles are the first sixteen items.
void from_q4_0(const std::uint8_t* from, float* to, std::size_t items) {
    for (; items > 0; items -= 32, from += 18, to += 32) {
        const float scale = half_to_float(load16(from));
        for (int i = 0; i < 16; ++i) {
            const int byte = from[2 + i];
            to[i] = static_cast<float>((byte & 15) - 8) * scale;
            to[i + 16] = static_cast<float>((byte >> 4) - 8) * scale;
        }
    }
}

// Block of 32: half scale, 32 signed bytes.
void from_q8_0(const std::uint8_t* from, float* to, std::size_t items) {
    for (; items > 0; items -= 32, from += 34, to += 32) {
        const float scale = half_to_float(load16(from));
        for (int i = 0; i < 32; ++i) to[i] = static_cast<float>(static_cast<std::int8_t>(from[2 + i])) * scale;
    }
}

struct ScaleAndMinimum {
    float scale;
    float minimum;
};

// Twelve bytes hold eight 6-bit scales and eight 6-bit minima; the upper two bits of the last four of each ride on
// top of the first eight bytes.
ScaleAndMinimum sixbit(const std::uint8_t* packed, int index) {
    int scale = 0;
    int minimum = 0;
    if (index < 4) {
        scale = packed[index] & 63;
        minimum = packed[index + 4] & 63;
    } else {
        scale = (packed[index + 4] & 15) | (packed[index - 4] >> 6) << 4;
        minimum = packed[index + 4] >> 4 | (packed[index] >> 6) << 4;
    }
    return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// Block of 256: half scale, half minimum scale, 12 bytes of sub-scales, [Q5_K: 32 bytes of fifth bits,] 128 bytes of
// nibbles. Each run of 32 bytes holds two groups of 32 items: low nibbles, then high nibbles.
template <bool kFive>
void from_q4_or_q5_k(const std::uint8_t* from, float* to, std::size_t items) {
    constexpr std::size_t kBytes = kFive ? 176 : 144;
    for (; items > 0; items -= 256, from += kBytes, to += 256) {
        const float scale = half_to_float(load16(from));
        const float minimum = half_to_float(load16(from + 2));
        const std::uint8_t* fifth = from + 16;
        const std::uint8_t* nibbles = from + (kFive ? 48 : 16);
        for (int group = 0; group < 8; ++group) {
            const ScaleAndMinimum packed = sixbit(from + 4, group);
            const float step = scale * packed.scale;
            const float base = minimum * packed.minimum;
            for (int i = 0; i < 32; ++i) {
                const int byte = nibbles[32 * (group / 2) + i];
                int quant = group % 2 ? byte >> 4 : byte & 15;
                if (kFive) quant |= (fifth[i] >> group & 1) << 4;
                to[32 * group + i] = step * static_cast<float>(quant) - base;
            }
        }
    }
}

// Block of 256: 128 bytes of low nibbles, 64 bytes of upper two bits, 16 signed scales, half scale. Each half of 128
// items is four groups of 32: nibbles of bytes 0..31, of 32..63, then the high nibbles of the same bytes.
void from_q6_k(const std::uint8_t* from, float* to, std::size_t items) {
    for (; items > 0; items -= 256, from += 210, to += 256) {
        const float scale = half_to_float(load16(from + 208));
        for (int half = 0; half < 2; ++half) {
            const std::uint8_t* low = from + 64 * half;
            const std::uint8_t* high = from + 128 + 32 * half;
            const std::uint8_t* scales = from + 192 + 8 * half;
            for (int item = 0; item < 128; ++item) {
                const int group = item / 32;
                const int byte = low[item % 64];
                const int nibble = group < 2 ? byte & 15 : byte >> 4;
                const int quant = (nibble | (high[item % 32] >> 2 * group & 3) << 4) - 32;
                const float step = scale * static_cast<float>(static_cast<std::int8_t>(scales[item / 16]));
                to[128 * half + item] = step * static_cast<float>(quant);
            }
        }
    }
}

}  // namespace

Dequantize dequantizer(std::uint32_t type) noexcept {
    switch (type) {
        case 0: return from_f32;
        case 1: return from_f16;
        case 2: return from_q4_0;
        case 8: return from_q8_0;
        case 12: return from_q4_or_q5_k<false>;
        case 13: return from_q4_or_q5_k<true>;
        case 14: return from_q6_k;
        case 30: return from_bf16;
        default: return nullptr;
    }
}

}  // namespace emer
