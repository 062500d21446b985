// Resizing and cropping without Python: shapes, exact identities, edges, refusals.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <limits>
#include <vector>

#include "check.h"
#include "emer/image.h"
#include "emer/image_resize.h"
#include "emer/image_warp.h"

using emer::OutputSpec;
using emer::ResizeMode;
using emer::Resizer;
using emer::Size;

namespace {

std::vector<std::uint8_t> drawn(Size size) {
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(size.width) * size.height * 3);
    std::uint32_t state = 1;
    for (std::uint8_t& value : rgb) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<std::uint8_t>(state >> 24);
    }
    return rgb;
}

OutputSpec bytes_of(Size size, ResizeMode mode) {
    OutputSpec spec;
    spec.size = size;
    spec.resize = mode;
    spec.as_float = false;
    return spec;
}

std::vector<std::uint8_t> resized(const std::vector<std::uint8_t>& rgb, Size source, const OutputSpec& spec) {
    Resizer resizer(source, spec);
    const Size size = resizer.output();
    std::vector<std::uint8_t> out(static_cast<std::size_t>(size.width) * size.height * 3);
    resizer.run(rgb.data(), static_cast<std::ptrdiff_t>(source.width) * 3, out.data());
    return out;
}

void same_size_is_a_copy() {
    const Size size{19, 11};
    const auto rgb = drawn(size);
    const auto out = resized(rgb, size, bytes_of(size, ResizeMode::stretch));
    bool same = true;
    for (int y = 0; y < size.height; ++y) {
        for (int x = 0; x < size.width; ++x) {
            for (int c = 0; c < 3; ++c) same = same && out[(c * 11 + y) * 19 + x] == rgb[(y * 19 + x) * 3 + c];
        }
    }
    CHECK(same);
}

// The plain definition of the two-pass filter, in integers, for one channel and one output pixel.
int reference(const std::vector<std::uint8_t>& rgb, Size source, Size target, int x, int y, int channel) {
    const emer::Taps columns = emer::bicubic_taps(source.width, target.width, x, 1);
    const emer::Taps rows = emer::bicubic_taps(source.height, target.height, y, 1);
    const auto clip = [](std::int32_t sum) { return std::min(255, std::max(0, sum >> emer::kWeightBits)); };
    std::int32_t sum = 1 << (emer::kWeightBits - 1);
    for (int j = 0; j < rows.count[0]; ++j) {
        std::int32_t line = 1 << (emer::kWeightBits - 1);
        for (int i = 0; i < columns.count[0]; ++i) {
            const std::size_t at = (static_cast<std::size_t>(rows.first[0] + j) * source.width + columns.first[0] + i) * 3;
            line += columns.weights[i] * rgb[at + channel];
        }
        sum += rows.weights[j] * clip(line);
    }
    return clip(sum);
}

void fast_loops_equal_the_definition() {
    const Size sources[] = {{1, 1}, {2, 3}, {16, 16}, {17, 9}, {37, 53}, {64, 8}, {100, 7}, {129, 65}};
    const Size targets[] = {{1, 1}, {5, 4}, {16, 16}, {23, 31}, {48, 48}};
    for (const Size source : sources) {
        const auto rgb = drawn(source);
        for (const Size target : targets) {
            if (source.width == target.width || source.height == target.height) continue;
            const auto out = resized(rgb, source, bytes_of(target, ResizeMode::stretch));
            bool same = true;
            for (int c = 0; c < 3; ++c) {
                for (int y = 0; y < target.height; ++y) {
                    for (int x = 0; x < target.width; ++x) {
                        const std::size_t at = (static_cast<std::size_t>(c) * target.height + y) * target.width + x;
                        same = same && out[at] == reference(rgb, source, target, x, y, c);
                    }
                }
            }
            CHECK(same);
        }
    }
}

void sizes_follow_the_rule() {
    CHECK((emer::output_size({1280, 720}, bytes_of({224, 224}, ResizeMode::fit)) == Size{224, 126}));
    CHECK((emer::output_size({64, 48}, bytes_of({224, 224}, ResizeMode::fit)) == Size{64, 48}));
    CHECK((emer::output_size({5000, 1}, bytes_of({100, 10}, ResizeMode::fit)) == Size{100, 1}));
    CHECK((emer::output_size({1280, 720}, bytes_of({224, 112}, ResizeMode::shorter_crop)) == Size{224, 112}));
    for (const Size source : {Size{300, 200}, Size{200, 301}, Size{17, 5}, Size{224, 224}}) {
        const auto out = resized(drawn(source), source, bytes_of({33, 44}, ResizeMode::shorter_crop));
        CHECK(out.size() == 33U * 44U * 3U);
    }
}

void warp_of_a_shift_is_a_copy() {
    const Size source{40, 30};
    const auto planes = drawn(source);  // any bytes will do as planes
    const float matrix[6] = {1, 0, -7, 0, 1, -4};
    std::vector<std::uint8_t> out(12 * 10 * 3);
    emer::warp_crop(planes.data(), source, matrix, bytes_of({12, 10}, ResizeMode::stretch), out.data());
    bool same = true;
    for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < 10; ++y) {
            for (int x = 0; x < 12; ++x) {
                same = same && out[(c * 10 + y) * 12 + x] == planes[(c * 30 + y + 4) * 40 + x + 7];
            }
        }
    }
    CHECK(same);
}

void warp_survives_any_matrix() {
    const Size source{33, 21};
    const auto planes = drawn(source);
    const auto spec = bytes_of({16, 16}, ResizeMode::stretch);
    std::vector<std::uint8_t> out(16 * 16 * 3);
    const float far = 1e6F;
    const float matrices[][6] = {{1, 0, far, 0, 1, far},     {1, 0, -far, 0, 1, -far},      {0.01F, 0, 0, 0, 0.01F, 0},
                                 {500, 0, 0, 0, 500, 0},     {0, -1, 20, 1, 0, 0},          {-1, 0, 30, 0, 1, 0},
                                 {0.5F, 0.3F, 0, -0.3F, 0.5F, 9}, {1, 0, 3e38F, 0, 1, 3e38F}, {900, 0, 0, 0, 0.002F, 0}};
    for (const auto& matrix : matrices) emer::warp_crop(planes.data(), source, matrix, spec, out.data());
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float wrong[][6] = {{0, 0, 0, 0, 0, 0}, {1, 1, 0, 1, 1, 0}, {nan, 0, 0, 0, 1, 0}, {1, 0, nan, 0, 1, 0},
                              {1e9F, 0, 0, 0, 1e9F, 0}, {1e-9F, 0, 0, 0, 1e-9F, 0}};
    for (const auto& matrix : wrong) {
        CHECK_THROWS((emer::warp_crop(planes.data(), source, matrix, spec, out.data()), 0));
    }
}

void refuses_nonsense() {
    CHECK_THROWS(Resizer({0, 4}, bytes_of({4, 4}, ResizeMode::stretch)));
    CHECK_THROWS(Resizer({4, 4}, bytes_of({0, 4}, ResizeMode::stretch)));
    CHECK_THROWS(Resizer({4, 4}, bytes_of({4, emer::kMaxSide + 1}, ResizeMode::stretch)));
    OutputSpec spec = bytes_of({4, 4}, ResizeMode::stretch);
    spec.std[1] = 0.0F;
    CHECK_THROWS((emer::check_spec(spec), 0));
    spec.std[1] = 1.0F;
    spec.mean[2] = std::numeric_limits<float>::infinity();
    CHECK_THROWS((emer::check_spec(spec), 0));
}

}  // namespace

int main() {
    same_size_is_a_copy();
    fast_loops_equal_the_definition();
    sizes_follow_the_rule();
    warp_of_a_shift_is_a_copy();
    warp_survives_any_matrix();
    refuses_nonsense();
    return emer::test::failures();
}
