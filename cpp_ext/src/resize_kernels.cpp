#include "resize_kernels.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// One binary for every x86-64: the loader picks the widest version the CPU has. The sanitizers start after
// the loader, so they get the plain version.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define EMER_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define EMER_CLONES
#endif

namespace emer::kernels {

namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

inline std::uint8_t clip(std::int32_t sum) {
    return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

void gather_plain(const std::uint8_t* const* rows, std::size_t from, std::size_t bytes, std::uint8_t* block) {
    for (std::size_t i = from; i < bytes; ++i) {
        for (int r = 0; r < kBlockRows; ++r) block[i * kBlockRows + r] = rows[r][i];
    }
}

}  // namespace

void gather_rows(const std::uint8_t* first_row, std::ptrdiff_t stride, int count, std::size_t bytes,
                 std::uint8_t* block) {
    const std::uint8_t* rows[kBlockRows];
    for (int r = 0; r < kBlockRows; ++r) rows[r] = first_row + stride * std::min(r, count - 1);
    std::size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= bytes; i += 16) {
        __m128i a[8];
        __m128i b[8];
        for (int r = 0; r < 8; ++r) a[r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i));
        // Three rounds of interleaving row r with row r + 4 turn 8 rows of 16 bytes into 16 columns of 8.
        for (int r = 0; r < 4; ++r) {
            b[2 * r] = _mm_unpacklo_epi8(a[r], a[r + 4]);
            b[2 * r + 1] = _mm_unpackhi_epi8(a[r], a[r + 4]);
        }
        // b[2r], b[2r + 1]: bytes 0..7 and 8..15 of rows (r, r + 4).
        for (int half = 0; half < 2; ++half) {
            const __m128i even = _mm_unpacklo_epi8(b[half], b[half + 4]);        // rows 0 2 4 6, bytes 0..3
            const __m128i even_hi = _mm_unpackhi_epi8(b[half], b[half + 4]);     // bytes 4..7
            const __m128i odd = _mm_unpacklo_epi8(b[half + 2], b[half + 6]);     // rows 1 3 5 7
            const __m128i odd_hi = _mm_unpackhi_epi8(b[half + 2], b[half + 6]);
            auto* to = reinterpret_cast<__m128i*>(block + (i + 8 * static_cast<std::size_t>(half)) * 8);
            _mm_storeu_si128(to + 0, _mm_unpacklo_epi8(even, odd));
            _mm_storeu_si128(to + 1, _mm_unpackhi_epi8(even, odd));
            _mm_storeu_si128(to + 2, _mm_unpacklo_epi8(even_hi, odd_hi));
            _mm_storeu_si128(to + 3, _mm_unpackhi_epi8(even_hi, odd_hi));
        }
    }
#endif
    gather_plain(rows, i, bytes, block);
}

void scatter_rows(const std::uint8_t* block, std::size_t bytes, int count, std::uint8_t* first_row,
                  std::ptrdiff_t stride) {
    std::size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= bytes; i += 16) {
        // 16 columns of 8 bytes -> 8 rows of 16: transpose pairs, then quads, then eights.
        __m128i a[8];
        __m128i b[8];
        for (int k = 0; k < 8; ++k) {
            a[k] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + (i + 2 * static_cast<std::size_t>(k)) * 8));
        }
        for (int round = 0; round < 4; ++round) {
            for (int k = 0; k < 4; ++k) {
                b[2 * k] = _mm_unpacklo_epi8(a[k], a[k + 4]);
                b[2 * k + 1] = _mm_unpackhi_epi8(a[k], a[k + 4]);
            }
            std::memcpy(a, b, sizeof(a));
        }
        for (int r = 0; r < count; ++r) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(first_row + stride * r + i), a[r]);
        }
    }
#endif
    for (; i < bytes; ++i) {
        for (int r = 0; r < count; ++r) first_row[stride * r + static_cast<std::ptrdiff_t>(i)] = block[i * 8 + r];
    }
}

EMER_CLONES
void resize_columns(const std::uint8_t* block_in, const Taps& taps, std::uint8_t* block_out) {
    const int positions = static_cast<int>(taps.first.size());
    for (int x = 0; x < positions; ++x) {
        const std::int32_t* weights = taps.weights.data() + static_cast<std::size_t>(x) * taps.width;
        const std::uint8_t* from = block_in + static_cast<std::size_t>(taps.first[x]) * 24;
        std::int32_t sums[24];
        for (int j = 0; j < 24; ++j) sums[j] = kHalf;
        const int count = taps.count[x];
        for (int k = 0; k < count; ++k, from += 24) {
            const std::int32_t weight = weights[k];
            for (int j = 0; j < 24; ++j) sums[j] += weight * from[j];
        }
        std::uint8_t* to = block_out + static_cast<std::size_t>(x) * 24;
        for (int j = 0; j < 24; ++j) to[j] = clip(sums[j]);
    }
}

EMER_CLONES
void resize_row(const std::uint8_t* first_row, std::ptrdiff_t stride, const std::int32_t* weights, int count,
                std::size_t bytes, std::int32_t* sums, std::uint8_t* out) {
    std::fill(sums, sums + bytes, kHalf);
    for (int k = 0; k < count; ++k) {
        const std::uint8_t* row = first_row + stride * k;
        const std::int32_t weight = weights[k];
        for (std::size_t i = 0; i < bytes; ++i) sums[i] += weight * row[i];
    }
    for (std::size_t i = 0; i < bytes; ++i) out[i] = clip(sums[i]);
}

}  // namespace emer::kernels
