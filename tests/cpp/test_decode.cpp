// Decoding without Python, on the clips that `python tests/data/make_clips.py FOLDER` makes; the folder is the argument
// (cmake -DEMER_TEST_DATA=FOLDER). Without it only what needs no clip is tested.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "emer/decode.h"
#include "emer/error.h"

using namespace emer;
namespace fs = std::filesystem;

namespace {

FrameRequest asked(int count, int side, ResizeMode mode = ResizeMode::fit) {
    FrameRequest request;
    request.count = count;
    request.output.size = {side, side};
    request.output.resize = mode;
    request.output.as_float = false;
    return request;
}

template <typename Work>
Kind kind_of(Work work) {
    try {
        work();
    } catch (const Error& error) {
        CHECK(error.what()[0] != '\0');
        return error.kind();
    }
    CHECK(!"nothing was thrown");
    return Kind::pack;
}

std::vector<std::uint8_t> bytes(const FrameResult& result) {
    const std::size_t size = result.pts_seconds.size() * 3 * result.size.width * result.size.height;
    return {result.pixels.get(), result.pixels.get() + size};
}

// Everything a caller may do with a file: only emer::Error may come out.
void read_all(const std::string& path, const MediaLimits& limits) {
    int subtitle = -1;
    try {
        for (const SubtitleInfo& each : probe_media(path, limits).subtitles) subtitle = each.index;
    } catch (const Error&) {
    }
    for (const FrameRule rule : {FrameRule::uniform_index, FrameRule::midpoint_time}) {
        try {
            FrameRequest request = asked(3, 16, ResizeMode::stretch);
            request.rule = rule;
            if (rule == FrameRule::uniform_index) request.threads = 2;  // shares damaged clips out among threads too
            const FrameResult result = decode_frames(path, request, limits);
            CHECK(result.pts_seconds.size() == 3);
        } catch (const Error&) {
        }
    }
    try {
        CHECK(!decode_audio(path, AudioRequest{}, limits).samples.empty());
    } catch (const Error&) {
    }
    try {
        read_subtitles(path, subtitle, limits);
    } catch (const Error&) {
    }
}

void refuses_what_is_no_clip() {
    const MediaLimits limits;
    const fs::path folder = fs::temp_directory_path();
    CHECK(kind_of([&] { probe_media((folder / "emer-missing.mp4").string(), limits); }) == Kind::input);
    CHECK(kind_of([&] { probe_media(folder.string(), limits); }) == Kind::input);
    CHECK(kind_of([&] { probe_media("/dev/zero", limits); }) == Kind::input);
    CHECK(kind_of([&] { probe_media("", limits); }) == Kind::input);
    CHECK(kind_of([&] { probe_media("http://127.0.0.1:9/x.mp4", limits); }) == Kind::input);
}

void every_clip_is_read_or_refused(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) read_all(entry.path().string(), MediaLimits{});
}

void plans_agree_with_each_other(const fs::path& folder) {
    // One sample for each frame decodes everything; few samples drop what they can: same pictures.
    for (const char* name : {"h264_aac.mp4", "h264_gops.mkv", "h264_opengop.mp4", "h264_refresh.mp4", "hevc_aac.mp4",
                             "mpeg2_mp2.mpg", "h264_mp2.ts", "edit_list.mp4", "av1.mkv", "vp8_opus.webm",
                             "mpeg4_mp3.avi", "h264_vfr.mp4"}) {
        const std::string path = (folder / name).string();
        MediaLimits limits;
        const FrameResult few = decode_frames(path, asked(7, 96), limits);
        const int frames = static_cast<int>(few.frames);
        const FrameResult all = decode_frames(path, asked(frames, 96), limits);
        const auto some = bytes(few);
        const auto every = bytes(all);
        const std::size_t size = some.size() / 7;
        CHECK(few.fallbacks == 0 && few.corrupt == 0);
        FrameRequest again = asked(7, 96);
        again.kept_bytes = 0;  // as for a clip too large to hold: it is read a second time
        CHECK(bytes(decode_frames(path, again, limits)) == some);
        CHECK(few.decoded_packets <= all.decoded_packets);
        for (int i = 0; i < 7; ++i) {
            const std::size_t ordinal = static_cast<std::size_t>(i) * frames / 7;
            CHECK(std::equal(some.begin() + size * i, some.begin() + size * (i + 1), every.begin() + size * ordinal));
        }
    }
}

void ceilings_hold(const fs::path& folder) {
    const std::string path = (folder / "h264_aac.mp4").string();
    const auto refused = [&](auto change) {
        MediaLimits limits;
        change(limits);
        return kind_of([&] { decode_frames(path, asked(4, 16), limits); }) == Kind::limit;
    };
    CHECK(refused([](MediaLimits& l) { l.file_bytes = 10; }));
    CHECK(refused([](MediaLimits& l) { l.pixels = 100; }));
    CHECK(refused([](MediaLimits& l) { l.streams = 1; }));
    CHECK(refused([](MediaLimits& l) { l.frames = 3; }));
    CHECK(refused([](MediaLimits& l) { l.packets = 5; }));
    CHECK(refused([](MediaLimits& l) { l.clip_seconds = 0.5; }));
    CHECK(refused([](MediaLimits& l) { l.decode_seconds = 0.0; }));
    MediaLimits small;
    small.pixels = 32 * 32;
    const std::string lying = (folder / "lying_size.mp4").string();
    const Kind kind = kind_of([&] { decode_frames(lying, asked(4, 16), small); });
    CHECK(kind == Kind::limit || kind == Kind::media);
}

void cancels(const fs::path& folder) {
    CancelToken token;
    token.cancel();
    const std::string path = (folder / "h264_aac.mp4").string();
    CHECK(kind_of([&] { decode_frames(path, asked(4, 16), MediaLimits{}, &token); }) == Kind::cancelled);
    CHECK(kind_of([&] { decode_audio(path, AudioRequest{}, MediaLimits{}, &token); }) == Kind::cancelled);
}

void threads_share_nothing(const fs::path& folder) {
    const std::string path = (folder / "h264_gops.mkv").string();
    const auto expected = bytes(decode_frames(path, asked(5, 32), MediaLimits{}));
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5; ++i) {
                if (bytes(decode_frames(path, asked(5, 32), MediaLimits{})) != expected) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

void survives_mutations(const fs::path& folder) {
    std::mt19937 dice(7);
    MediaLimits limits;
    limits.decode_seconds = 5.0;
    limits.pixels = 1 << 20;
    const fs::path path = fs::temp_directory_path() / "emer-mutated.bin";
    for (const char* name : {"h264_three.mp4", "h264_gops.mkv", "hevc_aac.mp4", "mpeg4_mp3.avi", "h264_mp2.ts",
                             "mpeg2_mp2.mpg", "vp9_opus.webm", "sound.flac", "words.mkv", "av1.mkv"}) {
        std::ifstream in(folder / name, std::ios::binary);
        const std::vector<char> whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        for (int round = 0; round < 20; ++round) {
            std::vector<char> data = whole;
            for (int i = 0; i < 1 + round; ++i) {
                const std::size_t span = round % 2 == 0 ? std::min<std::size_t>(data.size(), 1500) : data.size();
                data[dice() % span] = static_cast<char>(dice());
            }
            if (round % 5 == 4) data.resize(dice() % data.size() + 1);
            std::ofstream(path, std::ios::binary).write(data.data(), static_cast<std::streamsize>(data.size()));
            read_all(path.string(), limits);
        }
    }
    fs::remove(path);
}

void resamples() {
    std::vector<float> wave(48'000);
    for (std::size_t i = 0; i < wave.size(); ++i) wave[i] = static_cast<float>(std::sin(0.02 * static_cast<double>(i)));
    const auto out = resample_mono(wave.data(), wave.size(), 48'000, 16'000);
    CHECK(out.size() == 16'000);
    double worst = 0.0;
    for (std::size_t i = 200; i + 200 < out.size(); ++i) {
        worst = std::max(worst, std::fabs(out[i] - std::sin(0.06 * static_cast<double>(i))));
    }
    CHECK(worst < 1e-3);
    CHECK(resample_mono(wave.data(), 0, 48'000, 16'000).empty());
    CHECK_THROWS(resample_mono(wave.data(), 10, 0, 16'000));
    CHECK_THROWS(resample_mono(wave.data(), 10, 48'000, 2'000'000'000));
}

}  // namespace

int main(int argc, char** argv) {
    if (!decode_backend().have_libav) {
        CHECK(kind_of([] { probe_media("x.mp4", MediaLimits{}); }) == Kind::unsupported_media);
        return emer::test::failures();
    }
    refuses_what_is_no_clip();
    resamples();
    if (argc > 1) {
        const fs::path folder = argv[1];
        every_clip_is_read_or_refused(folder);
        plans_agree_with_each_other(folder);
        ceilings_hold(folder);
        cancels(folder);
        threads_share_nothing(folder);
        survives_mutations(folder);
    } else {
        std::fprintf(stderr, "test_decode: no folder of clips was passed; only refusals were tested\n");
    }
    return emer::test::failures();
}
