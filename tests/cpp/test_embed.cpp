// Rows of the token table against values worked out by hand, the laid sequence, and files that must be refused.
#include "emer/embed.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <thread>

#include "check.h"
#include "gguf_bytes.h"

using namespace emer;
using emer::test::Bytes;

namespace {

constexpr std::uint16_t kHalf = 0x3800;      // 0.5
constexpr std::uint16_t kQuarter = 0x3400;   // 0.25
constexpr std::uint16_t kInfinity = 0x7c00;

// A file that is gone when the test is over.
class TemporaryFile {
public:
    explicit TemporaryFile(const Bytes& bytes) {
        const int descriptor = ::mkstemp(path_);
        CHECK(descriptor >= 0);
        if (descriptor >= 0) ::close(descriptor);
        std::ofstream(path_, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data.data()), static_cast<std::streamsize>(bytes.data.size()));
    }
    ~TemporaryFile() { ::unlink(path_); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    std::string path() const { return path_; }

private:
    char path_[32] = "/tmp/emer-test-XXXXXX";
};

std::vector<float> row(std::uint32_t type, std::uint64_t columns, const Bytes& table, std::int32_t id = 0) {
    const TemporaryFile file(emer::test::file_with_table(type, columns, 1, table));
    const EmbeddingTable embedding(file.path());
    std::vector<float> out(embedding.n_embd());
    embedding.rows(&id, 1, out.data());
    return out;
}

void reads_plain_numbers() {
    Bytes halves;
    for (const std::uint16_t half : {0x3c00, 0xbc00, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff, 0x0000})
        halves.number(half);
    const std::vector<float> f16 = row(1, 8, halves);
    const float expected[] = {1.0f, -1.0f, 0x1p-24f, -0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, 65504.0f, 0.0f};
    for (int i = 0; i < 8; ++i) CHECK(f16[i] == expected[i]);
    const std::vector<float> bf16 = row(30, 2, Bytes().number(std::uint16_t{0x3fc0}).number(std::uint16_t{0xc000}));
    CHECK(bf16[0] == 1.5f && bf16[1] == -2.0f);
}

void reads_blocks() {
    Bytes q8 = Bytes().number(kHalf);
    for (int i = 0; i < 32; ++i) q8.number(static_cast<std::int8_t>(i - 16));
    const std::vector<float> eight = row(8, 32, q8);
    for (int i = 0; i < 32; ++i) CHECK(eight[i] == 0.5f * static_cast<float>(i - 16));

    Bytes q4 = Bytes().number(kQuarter);
    for (int i = 0; i < 16; ++i) q4.number(static_cast<std::uint8_t>(i | (15 - i) << 4));
    const std::vector<float> four = row(2, 32, q4);
    for (int i = 0; i < 16; ++i) {
        CHECK(four[i] == 0.25f * static_cast<float>(i - 8));
        CHECK(four[i + 16] == 0.25f * static_cast<float>(7 - i));
    }
}

void reads_super_blocks() {
    // Group 0 has scale 1 and minimum 2; group 4 has scale 33 = 1 | 2 << 4 and minimum 18 = 2 | 1 << 4.
    Bytes q4 = Bytes().number(kHalf).number(kQuarter);
    q4.raw(std::string("\x81\x00\x00\x00\x42\x00\x00\x00\x21\x00\x00\x00", 12)).zeros(128);
    for (std::size_t i = 16; i < 144; ++i) q4.data[i] = 0x53;
    const std::vector<float> four = row(12, 256, q4);
    CHECK(four[0] == 0.5f * 1 * 3 - 0.25f * 2);
    CHECK(four[32] == 0.0f);
    CHECK(four[128] == 0.5f * 33 * 3 - 0.25f * 18);

    Bytes q6 = Bytes().zeros(208).number(kHalf);
    q6.data[0] = 0xa5;        // item 0: nibble 5, item 64: nibble 10
    q6.data[128] = 0x12;      // item 0: upper bits 2, item 64: upper bits 1
    q6.data[192] = 3;         // scale of items 0..15
    q6.data[196] = 0xfe;      // -2, scale of items 64..79
    const std::vector<float> six = row(14, 256, q6);
    CHECK(six[0] == 0.5f * 3 * (5 + 32 - 32));
    CHECK(six[64] == 0.5f * -2 * (10 + 16 - 32));
    CHECK(six[1] == 0.5f * 3 * -32);
}

void lays_one_sequence() {
    const TemporaryFile file(emer::test::sound_file());
    const EmbeddingTable table(file.path());
    CHECK(table.n_rows() == 3 && table.n_embd() == 32 && std::string(table.type()) == "F32");
    const std::int32_t first[] = {2, 0};
    const std::int32_t last[] = {1};
    const std::vector<float> soft(32, -7.0f);
    const std::int32_t none[] = {0};
    std::vector<float> out(4 * 32);
    table.lay({{first, nullptr, 2}, {none, nullptr, 0}, {nullptr, soft.data(), 1}, {last, nullptr, 1}}, out.data());
    CHECK(out[0] == 16.0f && out[32] == 0.0f && out[64] == -7.0f && out[96] == 8.0f && out[127] == 15.75f);
    table.lay({}, nullptr);
}

void refuses_bad_calls() {
    const TemporaryFile file(emer::test::sound_file());
    const EmbeddingTable table(file.path());
    std::vector<float> out(64, 5.0f);
    for (const std::int32_t id : {-1, 3, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
        const std::int32_t ids[] = {0, id};
        CHECK_THROWS(table.rows(ids, 2, out.data()));
        CHECK_THROWS(table.lay({{ids, nullptr, 2}}, out.data()));
    }
    CHECK(out[0] == 5.0f);  // nothing is written before everything is checked
    std::vector<float> soft(32, 1.0f);
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
        soft[31] = bad;
        CHECK_THROWS(table.lay({{nullptr, soft.data(), 1}}, out.data()));
    }
}

void refuses_bad_files() {
    CHECK_THROWS(EmbeddingTable("/tmp"));
    CHECK_THROWS(EmbeddingTable("/dev/zero"));
    CHECK_THROWS(EmbeddingTable("/nowhere/at/all"));
    CHECK_THROWS(EmbeddingTable(TemporaryFile(Bytes()).path()));
    CHECK_THROWS(EmbeddingTable(TemporaryFile(Bytes().raw("GGUF")).path()));
    const TemporaryFile unreadable(emer::test::file_with_table(10, 256, 1, Bytes().zeros(84)));  // Q2_K
    CHECK_THROWS(EmbeddingTable(unreadable.path()));
    Bytes no_table = emer::test::prologue(1, 0);
    no_table.tensor("output.weight", 0, {8, 1}, 0).pad(32).zeros(32);
    const TemporaryFile other(no_table);
    CHECK_THROWS(EmbeddingTable(other.path()));
    const TemporaryFile sound(emer::test::sound_file());
    const std::string link = sound.path() + "-link";
    CHECK(::symlink(sound.path().c_str(), link.c_str()) == 0);
    CHECK_THROWS(EmbeddingTable(link.c_str()));
    ::unlink(link.c_str());
    CHECK_THROWS(row(1, 1, Bytes().number(kInfinity)));
}

void many_threads_read_one_table() {
    const TemporaryFile file(emer::test::sound_file());
    const EmbeddingTable table(file.path());
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (int worker = 0; worker < 4; ++worker)
        threads.emplace_back([&table, &wrong, worker] {
            std::vector<float> out(64);
            for (int round = 0; round < 2000; ++round) {
                const std::int32_t ids[] = {round % 3, (round + worker) % 3};
                table.rows(ids, 2, out.data());
                wrong[worker] += out[32] != 8.0f * static_cast<float>(ids[1]);
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const int count : wrong) CHECK(count == 0);
}

}  // namespace

int main() {
    reads_plain_numbers();
    reads_blocks();
    reads_super_blocks();
    lays_one_sequence();
    refuses_bad_calls();
    refuses_bad_files();
    many_threads_read_one_table();
    return emer::test::failures();
}
