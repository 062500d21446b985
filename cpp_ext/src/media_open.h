// One open clip: the file descriptor, the demuxer on it, and the watch that ends it in time.
#pragma once

#include <chrono>
#include <string>

#include "emer/media.h"
#include "media_libav.h"

namespace emer::libav {

// Wall clock and cancel flag of one call.
class Watch {
public:
    Watch(const MediaLimits& limits, const CancelToken* cancel);

    bool over() const;
    // Throws Error(cancelled | limit) when it is over.
    void check() const;

private:
    std::chrono::steady_clock::time_point end_;
    double seconds_;
    const CancelToken* cancel_;
};

// A regular file, opened without blocking and without following what it says about other files.
class MediaFile {
public:
    // Throws Error(input | media | unsupported_media | limit | cancelled).
    MediaFile(const std::string& path, const MediaLimits& limits, const Watch& watch);
    ~MediaFile();
    MediaFile(const MediaFile&) = delete;
    MediaFile& operator=(const MediaFile&) = delete;

    AVFormatContext& format() const { return *format_; }
    const std::string& path() const { return path_; }
    std::int64_t size_bytes() const { return size_bytes_; }
    bool is(const char* container) const;  // one of the demuxer's names

    // Reads ahead where the header does not say what a decoder needs; `always`: for rates and durations too.
    // Decodes nothing.
    void complete_streams(bool always);

    // Index of the stream to use, -1 when there is none.
    int best(AVMediaType type) const;

    // Time on the container's clock that is zero on the clip's clock.
    double zero_seconds() const;
    double duration_seconds() const;  // 0 unknown

    // From now on read() returns packets of this stream only.
    void only(int stream_index);

    // False at the end. Damaged stretches are skipped and counted.
    bool read(AVPacket& packet);
    std::int64_t damaged_reads() const { return damaged_reads_; }

private:
    static int read_bytes(void* self, std::uint8_t* buffer, int size);
    static std::int64_t seek(void* self, std::int64_t offset, int whence);
    void open_file();
    void open_demuxer();
    void check_declared() const;
    bool header_suffices() const;
    void close();

    std::string path_;
    const MediaLimits& limits_;
    const Watch& watch_;
    int descriptor_ = -1;
    std::int64_t size_bytes_ = 0;
    AVIOContext* io_ = nullptr;
    AVFormatContext* format_ = nullptr;
    int wanted_ = -1;
    std::int64_t packets_ = 0;
    std::int64_t damaged_reads_ = 0;
};

}  // namespace emer::libav
