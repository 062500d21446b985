// From a decoded frame to a place in the output: RGB, upright, resized, normalised.
#pragma once

#include <memory>
#include <vector>

#include "emer/decode.h"
#include "emer/image_resize.h"
#include "media_libav.h"

namespace emer::libav {

// Which source pixel an upright picture shows: quarter turns and mirrors only.
struct Orientation {
    bool swap = false;    // rows and columns change places
    bool flip_x = false;  // seen in the upright picture
    bool flip_y = false;

    bool identity() const { return !swap && !flip_x && !flip_y; }
    int degrees() const;  // clockwise
    Size turn(Size size) const { return swap ? Size{size.height, size.width} : size; }
    static Orientation from_matrix(const std::int32_t* matrix);  // null: identity
};

// What a converter to RGB depends on; all of it may change within a clip.
struct ScalerKey {
    Size size;
    int format = -1;
    int space = -1;  // one of swscale's SWS_CS_*
    bool full_range = false;
};

inline bool operator==(const ScalerKey& a, const ScalerKey& b) {
    return a.size == b.size && a.format == b.format && a.space == b.space && a.full_range == b.full_range;
}

// Owns the output array of one call. One thread.
class PictureSink {
public:
    PictureSink(const FrameRequest& request, Orientation of_stream, std::int64_t max_pixels);

    // Converts one frame into all of `slots`. Throws Error(limit | media).
    void write(const AVFrame& frame, const std::vector<int>& slots, double seconds);

    // Moves the output into `result`; throws Error(media) if a slot was never written.
    void finish(FrameResult& result);

private:
    void to_rgb(const AVFrame& frame, Size size);
    void turn(Orientation orientation, Size size);
    void allocate(Size upright);

    const FrameRequest& request_;
    Orientation of_stream_;
    std::int64_t max_pixels_;
    Scaler scaler_;
    ScalerKey scaler_key_;
    Buffer rgb_;
    Buffer turned_;
    std::size_t rgb_bytes_ = 0;
    std::size_t turned_bytes_ = 0;
    std::unique_ptr<Resizer> resizer_;
    Size output_;
    Size source_;
    int degrees_ = 0;
    std::unique_ptr<std::uint8_t[]> pixels_;
    std::size_t picture_bytes_ = 0;
    std::vector<bool> written_;
    std::vector<double> seconds_;
};

}  // namespace emer::libav
