#include <algorithm>
#include <cmath>

#include "emer/error.h"
#include "emer/image_resize.h"
#include "resize_kernels.h"

namespace emer {

namespace {

// Python's round(): halves go to the even neighbour, as the CLIP crop offset is computed.
int round_half_even(double value) { return static_cast<int>(std::nearbyint(value)); }

Size scaled_size(Size source, const OutputSpec& spec) {
    if (spec.resize != ResizeMode::shorter_crop) return output_size(source, spec);
    // The axis that needs the larger scale meets the target; for a square target that is the shorter side.
    const auto in_w = static_cast<std::int64_t>(source.width);
    const auto in_h = static_cast<std::int64_t>(source.height);
    const std::int64_t out_w = spec.size.width;
    const std::int64_t out_h = spec.size.height;
    if (in_w * out_h >= in_h * out_w) {
        return {static_cast<int>(std::max(out_w, in_w * out_h / in_h)), spec.size.height};
    }
    return {spec.size.width, static_cast<int>(std::max(out_h, in_h * out_w / in_w))};
}

}  // namespace

double cubic(double x) {
    constexpr double a = -0.5;
    x = std::fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

Taps bicubic_taps(int in, int out, int begin, int length) {
    const double scale = static_cast<double>(in) / out;
    const double stretch = std::max(scale, 1.0);
    const double support = 2.0 * stretch;
    Taps taps;
    taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
    taps.first.resize(length);
    taps.count.resize(length);
    taps.weights.assign(static_cast<std::size_t>(length) * taps.width, 0);
    std::vector<double> exact(taps.width);
    for (int i = 0; i < length; ++i) {
        const double centre = (begin + i + 0.5) * scale;
        const int first = std::max(0, static_cast<int>(centre - support + 0.5));
        const int last = std::min(in, static_cast<int>(centre + support + 0.5));
        double sum = 0.0;
        for (int k = 0; k < last - first; ++k) {
            exact[k] = cubic((first + k - centre + 0.5) / stretch);
            sum += exact[k];
        }
        for (int k = 0; k < last - first; ++k) {
            const double fixed = exact[k] / sum * (1 << kWeightBits);
            taps.weights[static_cast<std::size_t>(i) * taps.width + k] =
                static_cast<std::int32_t>(fixed < 0.0 ? fixed - 0.5 : fixed + 0.5);
        }
        taps.first[i] = first;
        taps.count[i] = last - first;
    }
    return taps;
}

Resizer::Resizer(Size source, const OutputSpec& spec)
    : source_(source), scaled_(scaled_size(source, spec)), output_(output_size(source, spec)), writer_(spec) {
    check_spec(spec);
    if (source.width < 1 || source.height < 1) throw Error(Kind::input, "A picture without pixels can't be resized.");
    left_ = round_half_even((scaled_.width - output_.width) / 2.0);
    top_ = round_half_even((scaled_.height - output_.height) / 2.0);
    first_row_ = top_;
    row_count_ = output_.height;
    if (scaled_.height != source_.height) {
        rows_ = bicubic_taps(source_.height, scaled_.height, top_, output_.height);
        first_row_ = rows_.first.front();
        row_count_ = rows_.first.back() + rows_.count.back() - first_row_;
    }
    const std::size_t row_bytes = static_cast<std::size_t>(output_.width) * 3;
    if (scaled_.width != source_.width) {
        columns_ = bicubic_taps(source_.width, scaled_.width, left_, output_.width);
        block_in_.resize(static_cast<std::size_t>(source_.width) * 3 * kernels::kBlockRows);
        block_out_.resize(row_bytes * kernels::kBlockRows);
        narrow_.resize(row_bytes * row_count_);
    }
    if (scaled_.height != source_.height) {
        sums_.resize(row_bytes);
        row_.resize(row_bytes);
    }
}

void Resizer::horizontal(const std::uint8_t* rgb, std::ptrdiff_t stride) {
    const std::size_t bytes_in = static_cast<std::size_t>(source_.width) * 3;
    const std::size_t bytes_out = static_cast<std::size_t>(output_.width) * 3;
    const auto stride_out = static_cast<std::ptrdiff_t>(bytes_out);
    for (int row = 0; row < row_count_; row += kernels::kBlockRows) {
        const int count = std::min(kernels::kBlockRows, row_count_ - row);
        kernels::gather_rows(rgb + stride * (first_row_ + row), stride, count, bytes_in, block_in_.data());
        kernels::resize_columns(block_in_.data(), columns_, block_out_.data());
        kernels::scatter_rows(block_out_.data(), bytes_out, count, narrow_.data() + stride_out * row, stride_out);
    }
}

void Resizer::run(const std::uint8_t* rgb, std::ptrdiff_t stride, void* out) {
    const std::size_t row_bytes = static_cast<std::size_t>(output_.width) * 3;
    const std::uint8_t* rows = rgb + stride * first_row_;
    std::ptrdiff_t rows_stride = stride;
    if (!narrow_.empty()) {
        horizontal(rgb, stride);
        rows = narrow_.data();
        rows_stride = static_cast<std::ptrdiff_t>(row_bytes);
    } else {
        rows += static_cast<std::ptrdiff_t>(left_) * 3;
    }
    for (int y = 0; y < output_.height; ++y) {
        if (row_.empty()) {
            writer_.write_row(rows + rows_stride * y, output_, y, out);
            continue;
        }
        kernels::resize_row(rows + rows_stride * (rows_.first[y] - first_row_), rows_stride,
                            rows_.weights.data() + static_cast<std::size_t>(y) * rows_.width, rows_.count[y],
                            row_bytes, sums_.data(), row_.data());
        writer_.write_row(row_.data(), output_, y, out);
    }
}

}  // namespace emer
