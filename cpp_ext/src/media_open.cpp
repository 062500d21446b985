#if defined(EMER_HAVE_LIBAV)

#include "media_open.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "emer/error.h"
#include "media_codecs.h"

namespace emer::libav {

namespace {

constexpr int kIoBytes = 1 << 16;
constexpr int kDamagedReadsInARow = 64;

int deny_second_file(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) { return AVERROR(EPERM); }

int interrupted(void* watch) { return static_cast<const Watch*>(watch)->over() ? 1 : 0; }

bool is_picture(const AVStream& stream) { return (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0; }

// A header of a few bytes can ask libav for 2 GiB at once. Its ceiling holds for the whole process, so it is only
// ever raised: to what the largest frame allowed so far needs.
void cap_allocations(std::int64_t pixels) {
    static std::mutex turn;
    static std::int64_t ceiling = 0;
    constexpr std::int64_t least = std::int64_t{256} << 20;
    constexpr std::int64_t bytes_per_pixel = 16;  // four channels of 16 bits, twice
    const std::int64_t wanted = std::max(least, std::min(pixels, std::int64_t{1} << 40) * bytes_per_pixel);
    const std::lock_guard<std::mutex> lock(turn);
    if (ceiling >= wanted) return;
    av_max_alloc(static_cast<std::size_t>(wanted));
    ceiling = wanted;
}

std::string number(std::int64_t value) { return std::to_string(value); }

}  // namespace

Watch::Watch(const MediaLimits& limits, const CancelToken* cancel)
    : end_(std::chrono::steady_clock::now() +
           std::chrono::milliseconds(static_cast<std::int64_t>(std::min(limits.decode_seconds, 1e6) * 1000.0))),
      seconds_(limits.decode_seconds),
      cancel_(cancel) {}

bool Watch::over() const {
    return (cancel_ != nullptr && cancel_->cancelled()) || std::chrono::steady_clock::now() > end_;
}

void Watch::check() const {
    if (cancel_ != nullptr && cancel_->cancelled()) throw Error(Kind::cancelled, "Decoding was cancelled.");
    if (std::chrono::steady_clock::now() > end_) {
        throw Error(Kind::limit, "Decoding took longer than Limits.decode_seconds allows.",
                    "The ceiling is " + std::to_string(seconds_) + " s.");
    }
}

MediaFile::MediaFile(const std::string& path, const MediaLimits& limits, const Watch& watch)
    : path_(path), limits_(limits), watch_(watch) {
    try {
        open_file();
        open_demuxer();
        check_declared();
    } catch (...) {
        close();
        throw;
    }
}

MediaFile::~MediaFile() { close(); }

void MediaFile::close() {
    avformat_close_input(&format_);
    if (io_ != nullptr) {
        av_freep(&io_->buffer);
        avio_context_free(&io_);
    }
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

void MediaFile::open_file() {
    if (path_.empty() || path_.find('\0') != std::string::npos) throw Error(Kind::input, "The clip's path is not a path.");
    // Not blocking: a FIFO would otherwise hold us until someone writes.
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor_ < 0) throw Error(Kind::input, path_ + " can't be opened.", std::strerror(errno));
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) throw Error(Kind::input, path_ + " can't be opened.", std::strerror(errno));
    if (!S_ISREG(status.st_mode)) throw Error(Kind::input, path_ + " is not a regular file.");
    size_bytes_ = status.st_size;
    if (size_bytes_ == 0) throw Error(Kind::media, path_ + " is empty.");
    if (size_bytes_ > limits_.file_bytes) {
        throw Error(Kind::limit, path_ + " is larger than Limits.file_bytes allows.",
                    number(size_bytes_) + " bytes, the ceiling is " + number(limits_.file_bytes) + ".");
    }
}

int MediaFile::read_bytes(void* self, std::uint8_t* buffer, int size) {
    const auto* file = static_cast<const MediaFile*>(self);
    if (file->watch_.over()) return AVERROR_EXIT;
    const ssize_t got = ::read(file->descriptor_, buffer, static_cast<std::size_t>(size));
    if (got < 0) return AVERROR(errno);
    return got == 0 ? AVERROR_EOF : static_cast<int>(got);
}

std::int64_t MediaFile::seek(void* self, std::int64_t offset, int whence) {
    const auto* file = static_cast<const MediaFile*>(self);
    if ((whence & AVSEEK_SIZE) != 0) return file->size_bytes_;
    const off_t at = ::lseek(file->descriptor_, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

void MediaFile::open_demuxer() {
    cap_allocations(limits_.pixels);
    av_log_set_level(AV_LOG_QUIET);  // libav would print to the caller's stderr; errors leave as exceptions
    format_ = avformat_alloc_context();
    auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBytes));
    if (buffer != nullptr) io_ = avio_alloc_context(buffer, kIoBytes, 0, this, &read_bytes, nullptr, &seek);
    if (io_ == nullptr) av_free(buffer);
    if (format_ == nullptr || io_ == nullptr) throw std::bad_alloc();
    format_->pb = io_;
    format_->flags |= AVFMT_FLAG_CUSTOM_IO;
    format_->io_open = &deny_second_file;
    format_->interrupt_callback = {&interrupted, const_cast<Watch*>(&watch_)};
    AVDictionary* options = nullptr;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "format_whitelist", kContainers, 0);
    av_dict_set_int(&options, "max_streams", limits_.streams + 1, 0);
    // A failed open frees the context and leaves `io_` to us.
    const int code = avformat_open_input(&format_, ("file:" + path_).c_str(), nullptr, &options);
    av_dict_free(&options);
    if (code >= 0) return;
    watch_.check();
    if (code == AVERROR(ENOMEM)) {
        throw Error(Kind::limit, path_ + " asks for more streams or more memory than allowed.",
                    "The ceiling is " + number(limits_.streams) + " streams.");
    }
    if (code == AVERROR(EINVAL) || code == AVERROR_DEMUXER_NOT_FOUND) {
        throw Error(Kind::unsupported_media, path_ + " is in no container that is accepted.", reason(code));
    }
    throw Error(Kind::media, path_ + " is not a readable clip.", reason(code));
}

void MediaFile::check_declared() const {
    if (format_->nb_streams > static_cast<std::uint64_t>(limits_.streams)) {
        throw Error(Kind::limit, path_ + " has more streams than Limits.streams allows.",
                    "The ceiling is " + number(limits_.streams) + ".");
    }
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        const AVCodecParameters& parameters = *format_->streams[i]->codecpar;
        if (parameters.codec_type != AVMEDIA_TYPE_VIDEO) continue;
        if (static_cast<std::int64_t>(parameters.width) * parameters.height > limits_.pixels) {
            throw Error(Kind::limit, path_ + " has frames larger than Limits.pixels allows.",
                        number(parameters.width) + "x" + number(parameters.height) + ", the ceiling is " +
                            number(limits_.pixels) + " pixels.");
        }
    }
    if (duration_seconds() > limits_.clip_seconds) {
        throw Error(Kind::limit, path_ + " is longer than Limits.clip_seconds allows.",
                    std::to_string(duration_seconds()) + " s, the ceiling is " + std::to_string(limits_.clip_seconds) + " s.");
    }
}

bool MediaFile::header_suffices() const {
    if (format_->nb_streams == 0 || (format_->ctx_flags & AVFMTCTX_NOHEADER) != 0) return false;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        const AVCodecParameters& parameters = *format_->streams[i]->codecpar;
        const bool video = parameters.codec_type == AVMEDIA_TYPE_VIDEO;
        const bool audio = parameters.codec_type == AVMEDIA_TYPE_AUDIO;
        if ((video || audio) && parameters.codec_id == AV_CODEC_ID_NONE) return false;
        if (video && (parameters.width <= 0 || parameters.height <= 0)) return false;
        if (audio && (parameters.sample_rate <= 0 || channel_count(parameters) <= 0)) return false;
    }
    return true;
}

void MediaFile::complete_streams(bool always) {
    if (!always && header_suffices()) return;
    // Headers and parsers tell what is needed. Decoding here would know none of our ceilings.
    av_opt_set(format_, "codec_whitelist", "none", 0);
    const int code = avformat_find_stream_info(format_, nullptr);
    watch_.check();
    if (code < 0) throw Error(Kind::media, path_ + " is not a readable clip.", reason(code));
    check_declared();
}

bool MediaFile::is(const char* container) const {
    const std::string names = std::string(",") + format_->iformat->name + ",";
    return names.find(std::string(",") + container + ",") != std::string::npos;
}

int MediaFile::best(AVMediaType type) const {
    const int found = av_find_best_stream(format_, type, -1, -1, nullptr, 0);
    if (found >= 0 && !is_picture(*format_->streams[found])) return found;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        const AVStream& stream = *format_->streams[i];
        if (stream.codecpar->codec_type == type && !is_picture(stream)) return static_cast<int>(i);
    }
    return -1;
}

double MediaFile::zero_seconds() const {
    // Transport and program streams start anywhere on their clock; the other containers start at zero.
    const bool drifting = is("mpegts") || is("mpeg");
    if (!drifting || format_->start_time == AV_NOPTS_VALUE) return 0.0;
    return static_cast<double>(format_->start_time) / AV_TIME_BASE;
}

double MediaFile::duration_seconds() const {
    double longest = 0.0;
    if (format_->duration > 0) longest = static_cast<double>(format_->duration) / AV_TIME_BASE;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        const AVStream& stream = *format_->streams[i];
        const AVMediaType type = stream.codecpar->codec_type;
        if (stream.duration <= 0 || (type != AVMEDIA_TYPE_VIDEO && type != AVMEDIA_TYPE_AUDIO)) continue;
        longest = std::max(longest, static_cast<double>(stream.duration) * av_q2d(stream.time_base));
    }
    return longest;
}

void MediaFile::only(int stream_index) {
    wanted_ = stream_index;
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        format_->streams[i]->discard = static_cast<int>(i) == stream_index ? AVDISCARD_NONE : AVDISCARD_ALL;
    }
}

bool MediaFile::read(AVPacket& packet) {
    int damaged_in_a_row = 0;
    while (true) {
        watch_.check();
        const int code = av_read_frame(format_, &packet);
        if (code == AVERROR_EOF) return false;
        if (code < 0) {
            watch_.check();
            ++damaged_reads_;
            // Some demuxers answer the same error for ever, and the end of a cut file can look like damage.
            if (++damaged_in_a_row >= kDamagedReadsInARow || avio_feof(format_->pb) != 0) return false;
            continue;
        }
        damaged_in_a_row = 0;
        if (++packets_ > limits_.packets) {
            av_packet_unref(&packet);
            throw Error(Kind::limit, path_ + " has more packets than Limits.packets allows.",
                        "The ceiling is " + number(limits_.packets) + ".");
        }
        if (format_->nb_streams > static_cast<std::uint64_t>(limits_.streams)) {
            av_packet_unref(&packet);
            check_declared();
        }
        if (packet.stream_index == wanted_) return true;
        av_packet_unref(&packet);
    }
}

}  // namespace emer::libav

#endif
