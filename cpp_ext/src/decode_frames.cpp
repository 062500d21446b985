#if defined(EMER_HAVE_LIBAV)

#include <algorithm>
#include <memory>
#include <string>
#include <thread>

#include "decode_groups.h"
#include "decode_pass.h"
#include "decode_picture.h"
#include "decode_plan.h"
#include "decode_reel.h"
#include "emer/decode.h"
#include "emer/error.h"
#include "media_open.h"

namespace emer {

namespace {

using namespace libav;

// Pixels decoded in all, below which starting threads costs more than it gains: threads that share every frame
// out among them, and threads of which each has runs of frames for itself.
constexpr std::int64_t kOneThreadPixels = 24'000'000;
constexpr std::int64_t kOneGroupPixels = 2'000'000;
// Of a picture whose size only its decoder will tell, as with MPEG-4 in MP4.
constexpr std::int64_t kUnknownPixels = 640 * 360;
// Threads within one decoder leave 0.7 of the time at best: where one thread has more of the runs, they are quicker.
constexpr double kEvenShare = 0.7;

void check_request(const FrameRequest& request, const MediaLimits& limits) {
    check_spec(request.output);
    if (request.count < 1) throw Error(Kind::input, "At least one frame must be asked for.");
    if (request.count > limits.frames) {
        throw Error(Kind::limit, "More frames are asked for than Limits.frames allows.",
                    std::to_string(request.count) + ", the ceiling is " + std::to_string(limits.frames) + ".");
    }
    const Size size = request.output.size;
    if (static_cast<std::int64_t>(size.width) * size.height > limits.pixels) {
        throw Error(Kind::limit, "Larger frames are asked for than Limits.pixels allows.");
    }
}

// Time stamps of these are the pictures' own; elsewhere they may be those of another packet, or invented.
bool stamps_are_trusted(const MediaFile& file, AVCodecID codec) {
    if (file.is("mp4")) return true;
    const bool old = codec == AV_CODEC_ID_MPEG4 || codec == AV_CODEC_ID_MSMPEG4V2 || codec == AV_CODEC_ID_MSMPEG4V3 ||
                     codec == AV_CODEC_ID_H263;
    return !old && (file.is("matroska") || file.is("mpegts") || file.is("mpeg"));
}

// One clip on its way into one output array.
class FrameDecode {
public:
    FrameDecode(MediaFile& file, int stream_index, const FrameRequest& request, const MediaLimits& limits,
                const Watch& watch)
        : file_(file),
          stream_(*file.format().streams[stream_index]),
          request_(request),
          limits_(limits),
          watch_(watch),
          orientation_(Orientation::from_matrix(display_matrix(stream_))),
          reel_(file, stream_index, request.kept_bytes, limits, watch),
          previous_(make_frame()) {
        start_over();
    }

    FrameResult run();

private:
    void check_length() const;
    void run_by_pts();
    void run_by_count();
    void sequential();
    void start_over();
    void decode(const std::vector<Range>& ranges, bool drop, int threads);
    bool decode_groups(const std::vector<Range>& ranges);
    void take(const AVFrame& frame);
    void fill_rest();
    void write(const AVFrame& frame, Target& target);
    Target* target_at(std::int64_t key);
    bool skippable(const IndexEntry& entry) { return entry.droppable && target_at(entry.pts) == nullptr; }
    bool all_written() const;
    CodecOptions codec_options(int threads) const;
    std::int64_t pixels_of(const std::vector<Range>& ranges) const;
    int most_threads() const;
    int thread_count(const std::vector<Range>& ranges) const;
    double seconds(const AVFrame& frame) const;

    MediaFile& file_;
    const AVStream& stream_;
    const FrameRequest& request_;
    const MediaLimits& limits_;
    const Watch& watch_;
    Orientation orientation_;
    PacketReel reel_;
    std::unique_ptr<Canvas> canvas_;
    std::unique_ptr<PictureSink> sink_;
    Frame previous_;  // the last frame that was shown, while samples may have to be replaced
    Plan plan_;
    int depth_ = 0;
    bool replace_ = false;          // a missing sample is taken from its nearest neighbour
    std::size_t cursor_ = 0;        // first target that `replace_` has not settled
    std::int64_t shown_ = 0;        // frames that came out of this pass
    std::int64_t errors_ = 0;       // of this pass
    std::int64_t replaced_ = 0;
    FrameResult result_;
};

FrameResult FrameDecode::run() {
    std::vector<IndexEntry>& index = reel_.index();
    if (index.empty()) throw Error(Kind::media, file_.path() + " has a video stream without packets.");
    check_length();
    const bool trusted = stamps_are_trusted(file_, stream_.codecpar->codec_id) && stamps_are_unique(index);
    if (trusted) {
        settle_droppable(index);
        depth_ = reorder_depth(index);
        run_by_pts();
    } else {
        run_by_count();
    }
    if (shown_ == 0 && !all_written()) throw Error(Kind::media, file_.path() + " holds no frame that can be decoded.");
    canvas_->finish(result_);
    result_.frames = plan_.frames;
    result_.padded = plan_.padded;
    result_.corrupt = reel_.damaged() + errors_ + replaced_;
    return std::move(result_);
}

// A container that declares no duration is measured.
void FrameDecode::check_length() const {
    std::int64_t first = INT64_MAX;
    std::int64_t last = INT64_MIN;
    for (const IndexEntry& entry : reel_.index()) {
        if (!entry.has_pts || !entry.shown) continue;
        first = std::min(first, entry.pts);
        last = std::max(last, entry.pts);
    }
    if (first >= last) return;
    const double seconds = (static_cast<double>(last) - static_cast<double>(first)) * av_q2d(stream_.time_base);
    if (seconds > limits_.clip_seconds) {
        throw Error(Kind::limit, file_.path() + " is longer than Limits.clip_seconds allows.",
                    std::to_string(seconds) + " s, the ceiling is " + std::to_string(limits_.clip_seconds) + " s.");
    }
}

void FrameDecode::run_by_pts() {
    const std::vector<IndexEntry>& index = reel_.index();
    plan_ = plan_by_pts(index, request_);
    if (plan_.targets.empty()) throw Error(Kind::media, file_.path() + " holds no frame that is shown.");
    const std::vector<Range> ranges = plan_ranges(index, plan_.targets, 0);
    if (!decode_groups(ranges)) decode(ranges, true, thread_count(ranges));
    if (errors_ == 0 && !all_written()) {
        ++result_.fallbacks;
        decode(plan_ranges(index, plan_.targets, 1), false, 1);
    }
    if (errors_ == 0 && all_written()) return;
    // Damage: decode from the start on one thread, so that the same clip always gives the same frames.
    ++result_.fallbacks;
    sequential();
}

void FrameDecode::run_by_count() {
    const std::vector<IndexEntry>& index = reel_.index();
    std::int64_t frames = std::count_if(index.begin(), index.end(), [](const IndexEntry& e) { return e.shown; });
    for (int attempt = 0; attempt < 2; ++attempt) {
        plan_ = plan_by_count(frames, request_);
        if (plan_.targets.empty()) return;
        sequential();
        if (shown_ == frames || shown_ == 0) return;
        // Packets without a picture, or damage: now the number of frames is known.
        ++result_.fallbacks;
        frames = shown_;
    }
}

void FrameDecode::sequential() {
    for (Target& target : plan_.targets) target.written = false;
    replace_ = true;
    replaced_ = 0;
    cursor_ = 0;
    decode({{0, reel_.index().size()}}, false, 1);
    fill_rest();
    replace_ = false;
}

bool FrameDecode::all_written() const {
    return std::all_of(plan_.targets.begin(), plan_.targets.end(), [](const Target& t) { return t.written; });
}

Target* FrameDecode::target_at(std::int64_t key) {
    const auto at = std::lower_bound(plan_.targets.begin(), plan_.targets.end(), key,
                                     [](const Target& t, std::int64_t k) { return t.key < k; });
    return at != plan_.targets.end() && at->key == key ? &*at : nullptr;
}

void FrameDecode::start_over() {
    canvas_ = std::make_unique<Canvas>(request_);
    sink_ = std::make_unique<PictureSink>(request_, orientation_, limits_.pixels, *canvas_);
    for (Target& target : plan_.targets) target.written = false;
}

CodecOptions FrameDecode::codec_options(int threads) const {
    CodecOptions options;
    options.max_pixels = limits_.pixels;
    options.threads = threads;
    options.reorder_depth = depth_;
    return options;
}

std::int64_t FrameDecode::pixels_of(const std::vector<Range>& ranges) const {
    std::int64_t packets = 0;
    for (const Range& range : ranges) packets += static_cast<std::int64_t>(range.end - range.begin);
    const std::int64_t picture = std::int64_t{1} * stream_.codecpar->width * stream_.codecpar->height;
    return packets * (picture > 0 ? picture : kUnknownPixels);
}

int FrameDecode::most_threads() const {
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    return request_.threads > 0 ? std::min({request_.threads, cores, 16}) : std::min(cores, 4);
}

int FrameDecode::thread_count(const std::vector<Range>& ranges) const {
    return request_.threads == 0 && pixels_of(ranges) < kOneThreadPixels ? 1 : most_threads();
}

void FrameDecode::decode(const std::vector<Range>& ranges, bool drop, int threads) {
    DecodePass pass(stream_, codec_options(threads), watch_, [this](const AVFrame& frame) { take(frame); });
    shown_ = 0;
    av_frame_unref(previous_.get());
    for (const Range& range : ranges) {
        pass.run(reel_, range, [&](const IndexEntry& entry) { return drop && skippable(entry); });
    }
    errors_ = pass.errors();
    result_.decoded_packets += pass.packets();
}

// Runs that start at different random access points need nothing of each other: each thread decodes, converts
// and resizes its own. False, with nothing written, where that would not be quicker or not give what order gives.
bool FrameDecode::decode_groups(const std::vector<Range>& ranges) {
    if (ranges.size() < 2 || !reel_.in_memory()) return false;
    if (request_.threads == 0 && pixels_of(ranges) < kOneGroupPixels) return false;
    std::vector<std::size_t> costs;
    std::size_t all = 0;
    for (const Range& range : ranges) {
        const auto begin = reel_.index().begin();
        const auto count = std::count_if(begin + static_cast<std::ptrdiff_t>(range.begin),
                                         begin + static_cast<std::ptrdiff_t>(range.end),
                                         [this](const IndexEntry& entry) { return !skippable(entry); });
        costs.push_back(static_cast<std::size_t>(count));
        all += costs.back();
    }
    const Shares shares = share_out(ranges, costs, most_threads());
    if (shares.size() < 2 || static_cast<double>(shares.heaviest) > kEvenShare * static_cast<double>(all)) return false;
    struct Outcome {
        std::int64_t shown = 0, errors = 0, packets = 0;
    };
    std::vector<Outcome> outcomes(shares.size());
    side_by_side(shares.size(), [&](std::size_t number) {
        Outcome& outcome = outcomes[number];
        PictureSink sink(request_, orientation_, limits_.pixels, *canvas_);
        Range now;
        DecodePass pass(stream_, codec_options(1), watch_, [&](const AVFrame& frame) {
            if (frame.pts == AV_NOPTS_VALUE) return;
            ++outcome.shown;
            Target* target = target_at(frame.pts);
            // Nothing but this run's own: another thread may be at work on the others.
            if (target == nullptr || target->packet < now.begin || target->packet >= now.end || target->written) return;
            sink.write(frame, target->slots, seconds(frame));
            target->written = true;
        });
        for (const Range& range : shares.of[number]) {
            now = range;
            pass.run(reel_, range, [this](const IndexEntry& entry) { return skippable(entry); });
        }
        outcome.errors = pass.errors();
        outcome.packets = pass.packets();
    });
    for (const Outcome& outcome : outcomes) {
        shown_ += outcome.shown;
        errors_ += outcome.errors;
        result_.decoded_packets += outcome.packets;
    }
    if (!canvas_->mixed()) return true;
    shown_ = errors_ = 0;
    start_over();
    return false;
}

void FrameDecode::take(const AVFrame& frame) {
    if (plan_.by_pts && frame.pts == AV_NOPTS_VALUE) return;  // it has no place among the targets
    const std::int64_t key = plan_.by_pts ? frame.pts : shown_;
    ++shown_;
    if (!replace_) {
        Target* target = target_at(key);
        if (target != nullptr && !target->written) write(frame, *target);
        return;
    }
    // Frames come in the order they are shown: a target that was passed over is missing.
    while (cursor_ < plan_.targets.size() && plan_.targets[cursor_].key <= key) {
        Target& target = plan_.targets[cursor_++];
        const bool exact = target.key == key;
        const bool have_previous = previous_->data[0] != nullptr;
        const bool earlier = !exact && have_previous && plan_.by_pts && target.key - previous_->pts <= key - target.key;
        write(earlier ? *previous_ : frame, target);
        if (!exact) ++replaced_;
    }
    av_frame_unref(previous_.get());
    if (av_frame_ref(previous_.get(), &frame) < 0) throw std::bad_alloc();
}

void FrameDecode::fill_rest() {
    if (previous_->data[0] == nullptr) return;
    for (; cursor_ < plan_.targets.size(); ++cursor_) {
        write(*previous_, plan_.targets[cursor_]);
        ++replaced_;
    }
}

void FrameDecode::write(const AVFrame& frame, Target& target) {
    sink_->write(frame, target.slots, seconds(frame));
    target.written = true;
}

double FrameDecode::seconds(const AVFrame& frame) const {
    std::int64_t pts = frame.pts;
    if (!plan_.by_pts && frame.best_effort_timestamp != AV_NOPTS_VALUE) pts = frame.best_effort_timestamp;
    if (pts != AV_NOPTS_VALUE) return static_cast<double>(pts) * av_q2d(stream_.time_base) - file_.zero_seconds();
    const AVRational rate = stream_.avg_frame_rate.num > 0 ? stream_.avg_frame_rate : stream_.r_frame_rate;
    return rate.num > 0 && rate.den > 0 ? static_cast<double>(shown_ - 1) / av_q2d(rate) : 0.0;
}

}  // namespace

FrameResult decode_frames(const std::string& path, const FrameRequest& request, const MediaLimits& limits,
                          const CancelToken* cancel) {
    check_request(request, limits);
    const Watch watch(limits, cancel);
    watch.check();
    MediaFile file(path, limits, watch);
    file.complete_streams(false);
    const int stream = file.best(AVMEDIA_TYPE_VIDEO);
    if (stream < 0) throw Error(Kind::media, path + " has no video stream.");
    const std::string refused = refusal(*file.format().streams[stream]->codecpar);
    if (!refused.empty()) throw Error(Kind::unsupported_media, path + ": the video can't be decoded.", refused);
    return FrameDecode(file, stream, request, limits, watch).run();
}

}  // namespace emer

#endif
