#if defined(EMER_HAVE_LIBAV)

#include "decode_pass.h"

#include <new>
#include <utility>

namespace emer::libav {

DecodePass::DecodePass(const AVStream& stream, const CodecOptions& options, const Watch& watch, Take take)
    : watch_(watch), take_(std::move(take)), codec_(open_decoder(stream, options)), frame_(make_frame()) {}

void DecodePass::run(PacketReel& reel, Range range, const Skip& skip) {
    for (std::size_t number = range.begin; number < range.end; ++number) {
        if (skip(reel.index()[number])) continue;
        const AVPacket* packet = reel.at(number);
        if (packet == nullptr) break;
        send(packet);
    }
    send(nullptr);
    avcodec_flush_buffers(codec_.get());
}

void DecodePass::send(const AVPacket* packet) {
    watch_.check();
    if (packet != nullptr) ++packets_;
    int code = avcodec_send_packet(codec_.get(), packet);
    if (code == AVERROR(EAGAIN)) {
        receive();
        code = avcodec_send_packet(codec_.get(), packet);
    }
    if (code == AVERROR(ENOMEM)) throw std::bad_alloc();
    if (code < 0 && code != AVERROR_EOF) ++errors_;
    receive();
}

void DecodePass::receive() {
    int failures = 0;
    while (failures < 64) {
        watch_.check();
        const int code = avcodec_receive_frame(codec_.get(), frame_.get());
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
        if (code == AVERROR(ENOMEM)) throw std::bad_alloc();
        if (code < 0) {  // with threads, an error of an earlier packet shows up here
            ++errors_;
            ++failures;
            continue;
        }
        if ((frame_->flags & AV_FRAME_FLAG_CORRUPT) != 0 || frame_->decode_error_flags != 0) ++errors_;
        take_(*frame_);
        av_frame_unref(frame_.get());
    }
}

}  // namespace emer::libav

#endif
