// What a picture handed to a model looks like: size rule, channel order, normalisation. Knows no codec.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace emer {

struct Size {
    int width = 0;
    int height = 0;
};

inline bool operator==(Size a, Size b) { return a.width == b.width && a.height == b.height; }
inline bool operator!=(Size a, Size b) { return !(a == b); }

enum class ResizeMode {
    stretch,       // both sides to the target, aspect ratio lost
    shorter_crop,  // cover the target, then crop the middle (CLIP)
    fit,           // longest side at most max(width, height), aspect ratio kept, never enlarged
};

struct OutputSpec {
    Size size;
    ResizeMode resize = ResizeMode::stretch;
    bool bgr = false;
    bool as_float = true;  // float32 (x / 255 - mean) / std, else uint8
    std::array<float, 3> mean{0.0F, 0.0F, 0.0F};
    std::array<float, 3> std{1.0F, 1.0F, 1.0F};  // in the order of the channels that are written

    std::size_t value_bytes() const { return as_float ? sizeof(float) : sizeof(std::uint8_t); }
};

// Sides of the largest array this library makes for one picture; a spec beyond it is refused.
constexpr int kMaxSide = 16384;

// Throws Error(input) when a size or a standard deviation makes no sense.
void check_spec(const OutputSpec& spec);

// Height and width of what a source of that size becomes.
Size output_size(Size source, const OutputSpec& spec);

// Writes rows of interleaved RGB bytes into a planar [3, height, width] picture. Owns only its tables;
// any number of threads may use one writer for different pictures.
class PixelWriter {
public:
    explicit PixelWriter(const OutputSpec& spec);

    // `out` is the whole picture; `rgb` holds `size.width` pixels of row `y`.
    void write_row(const std::uint8_t* rgb, Size size, int y, void* out) const;

private:
    bool bgr_;
    bool as_float_;
    std::array<std::array<float, 256>, 3> table_{};
};

}  // namespace emer
