// From a decoded frame to a place in the output: RGB, upright, resized, normalised.
#pragma once

#include <memory>
#include <mutex>
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

// The output array of one call. Threads may write different slots at once.
class Canvas {
public:
    explicit Canvas(const FrameRequest& request);

    // Makes room for all slots when it is called first. Throws Error(limit).
    void open(Size upright, int degrees);
    Size output() const { return output_; }
    // Whether pictures of different shapes came: what the result says of its source then depends on their order.
    bool mixed() const { return mixed_; }

    // A picture's bytes are in the first of `slots`: copies them into the others.
    std::uint8_t* at(int slot) { return pixels_.get() + picture_bytes_ * static_cast<std::size_t>(slot); }
    void spread(const std::vector<int>& slots, double seconds);

    // Moves the output into `result`; throws Error(media) if a slot was never written.
    void finish(FrameResult& result);

private:
    const FrameRequest& request_;
    std::mutex mutex_;
    Size output_;
    Size source_;
    int degrees_ = 0;
    bool mixed_ = false;
    std::unique_ptr<std::uint8_t[]> pixels_;
    std::size_t picture_bytes_ = 0;
    std::vector<char> written_;  // not bool: threads write neighbours
    std::vector<double> seconds_;
};

// Brings frames onto a canvas. One thread.
class PictureSink {
public:
    PictureSink(const FrameRequest& request, Orientation of_stream, std::int64_t max_pixels, Canvas& canvas);

    // Converts one frame into all of `slots`. Throws Error(limit | media).
    void write(const AVFrame& frame, const std::vector<int>& slots, double seconds);

private:
    void to_rgb(const AVFrame& frame, Size size);
    void turn(Orientation orientation, Size size);

    const FrameRequest& request_;
    Orientation of_stream_;
    std::int64_t max_pixels_;
    Canvas& canvas_;
    Scaler scaler_;
    ScalerKey scaler_key_;
    Buffer rgb_;
    Buffer turned_;
    std::size_t rgb_bytes_ = 0;
    std::size_t turned_bytes_ = 0;
    std::unique_ptr<Resizer> resizer_;
};

}  // namespace emer::libav
