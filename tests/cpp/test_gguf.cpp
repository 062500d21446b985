// The GGUF header parser: a sound file, every kind of lie in a header, and a mutation loop.
#include "emer/gguf.h"

#include <chrono>
#include <cstring>
#include <random>
#include <string>

#include "check.h"
#include "gguf_bytes.h"

using namespace emer;
using emer::test::Bytes;
using emer::test::sound_file;

namespace {

GgufHeader parse(const Bytes& file) {
    // A copy of the exact size, so that AddressSanitizer sees one byte too far.
    const std::vector<std::uint8_t> exact(file.data.begin(), file.data.end());
    return parse_gguf(exact.data(), exact.size());
}

Bytes one_entry(const std::string& key, std::uint32_t type) {
    Bytes file = emer::test::prologue(0, 1);
    file.text(key).number(type);
    return file;
}

Bytes one_tensor(std::uint32_t type, std::vector<std::uint64_t> shape, std::uint64_t offset, std::size_t data_bytes) {
    Bytes file = emer::test::prologue(1, 0);
    file.tensor("token_embd.weight", type, shape, offset);
    file.pad(32).zeros(data_bytes);
    return file;
}

void reads_a_sound_file() {
    const GgufHeader header = parse(sound_file());
    CHECK(header.version == 3);
    CHECK(header.metadata.size() == 4);
    CHECK(std::get<std::string>(*header.value("general.architecture")) == "qwen3");
    CHECK(std::get<std::uint64_t>(*header.value("qwen3.embedding_length")) == 32);
    CHECK(std::get<double>(*header.value("qwen3.rope.freq_base")) == 10000.0);
    CHECK(std::get<GgufArray>(*header.value("tokenizer.ggml.tokens")).items == 3);
    const GgufTensor* table = header.tensor("token_embd.weight");
    CHECK(table && table->size_bytes == 3 * 32 * 4 && table->offset == header.data_offset);
    CHECK(header.tensor("absent") == nullptr && header.value("absent") == nullptr);
}

void refuses_broken_prologues() {
    const std::uint8_t nothing = 0;
    CHECK_THROWS(parse_gguf(&nothing, 0));
    CHECK_THROWS(parse(Bytes().raw("GGUF")));
    CHECK_THROWS(parse(Bytes().raw("GGML").number(std::uint32_t{3}).zeros(64)));
    for (const std::uint32_t version : {0u, 1u, 4u, 0x03000000u})
        CHECK_THROWS(parse(Bytes().raw("GGUF").number(version).zeros(64)));
    CHECK_THROWS(parse(emer::test::prologue(std::uint64_t{1} << 60, 0)));
    CHECK_THROWS(parse(emer::test::prologue(0, std::uint64_t{1} << 60)));
    CHECK_THROWS(parse(emer::test::prologue(~std::uint64_t{0}, ~std::uint64_t{0})));
    CHECK_THROWS(parse(emer::test::prologue(1, 0)));
    CHECK_THROWS(parse(emer::test::prologue(0, 1)));
}

void refuses_lies_in_metadata() {
    CHECK_THROWS(parse(emer::test::prologue(0, 1).number(~std::uint64_t{0})));            // key longer than the file
    CHECK_THROWS(parse(one_entry("", 4).number(std::uint32_t{1})));                       // empty key
    CHECK_THROWS(parse(one_entry("a\nb", 4).number(std::uint32_t{1})));                   // control letter
    CHECK_THROWS(parse(one_entry(std::string(1000, 'k'), 4).number(std::uint32_t{1})));   // key too long
    CHECK_THROWS(parse(one_entry("k", 13).number(std::uint32_t{1})));                     // unknown type
    CHECK_THROWS(parse(one_entry("k", 8).number(std::uint64_t{1} << 40)));                // text too long
    CHECK_THROWS(parse(one_entry("k", 8).number(std::uint64_t{100}).zeros(99)));          // text cut off
    CHECK_THROWS(parse(one_entry("k", 7).number(std::uint8_t{2})));                       // boolean 2
    CHECK_THROWS(parse(one_entry("k", 9).number(std::uint32_t{9}).number(std::uint64_t{1}).zeros(64)));
    CHECK_THROWS(parse(one_entry("k", 9).number(std::uint32_t{77}).number(std::uint64_t{1}).zeros(64)));
    CHECK_THROWS(parse(one_entry("k", 9).number(std::uint32_t{4}).number(~std::uint64_t{0}).zeros(64)));
    CHECK_THROWS(parse(one_entry("k", 9).number(std::uint32_t{10}).number(std::uint64_t{1} << 61).zeros(64)));
    CHECK_THROWS(parse(one_entry("k", 9).number(std::uint32_t{8}).number(std::uint64_t{1} << 22).zeros(64)));
    for (const std::uint32_t alignment : {0u, 3u, 1u << 17})
        CHECK_THROWS(parse(one_entry("general.alignment", 4).number(alignment)));
    CHECK_THROWS(parse(one_entry("general.alignment", 8).text("32")));
    Bytes twice = emer::test::prologue(0, 2);
    twice.text("k").number(std::uint32_t{7}).number(std::uint8_t{1});
    twice.text("k").number(std::uint32_t{7}).number(std::uint8_t{1});
    CHECK_THROWS(parse(twice));
}

void refuses_lies_about_tensors() {
    CHECK(parse(one_tensor(0, {32, 3}, 0, 384)).tensors.size() == 1);
    CHECK_THROWS(parse(one_tensor(0, {32, 3}, 0, 383)));                              // one byte short
    CHECK_THROWS(parse(one_tensor(0, {32, 3}, 32, 384)));                             // begins too late
    CHECK_THROWS(parse(one_tensor(0, {32, 3}, ~std::uint64_t{31}, 384)));             // offset wraps round
    CHECK_THROWS(parse(one_tensor(0, {32, 3}, 1, 1024)));                             // not aligned
    CHECK_THROWS(parse(one_tensor(8, {33, 3}, 0, 1024)));                             // broken block
    CHECK_THROWS(parse(one_tensor(4, {32, 3}, 0, 1024)));                             // removed type
    CHECK_THROWS(parse(one_tensor(1000, {32, 3}, 0, 1024)));                          // unknown type
    CHECK_THROWS(parse(one_tensor(0, {}, 0, 1024)));                                  // no axes
    CHECK_THROWS(parse(one_tensor(0, {1, 1, 1, 1, 1}, 0, 1024)));                     // five axes
    CHECK_THROWS(parse(one_tensor(0, {32, 0}, 0, 1024)));                             // empty axis
    CHECK_THROWS(parse(one_tensor(0, {std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 0, 1024)));
    CHECK_THROWS(parse(one_tensor(0, {std::uint64_t{1} << 62}, 0, 1024)));            // bytes wrap round
    CHECK_THROWS(parse(one_tensor(0, {~std::uint64_t{0}}, 0, 1024)));
    Bytes twice = emer::test::prologue(2, 0);
    twice.tensor("a", 0, {8}, 0).tensor("a", 0, {8}, 32).pad(32).zeros(64);
    CHECK_THROWS(parse(twice));
    Bytes overlapping = emer::test::prologue(2, 0);
    overlapping.tensor("a", 0, {16}, 0).tensor("b", 0, {8}, 32).pad(32).zeros(64);
    CHECK_THROWS(parse(overlapping));
    Bytes side_by_side = emer::test::prologue(2, 0);
    side_by_side.tensor("b", 0, {8}, 32).tensor("a", 0, {8}, 0).pad(32).zeros(64);
    CHECK(parse(side_by_side).tensors.size() == 2);
    Bytes long_name = emer::test::prologue(1, 0);
    long_name.tensor(std::string(64, 'n'), 0, {8}, 0).pad(32).zeros(32);
    CHECK_THROWS(parse(long_name));
}

void survives_every_cut() {
    const Bytes file = sound_file();
    const std::size_t data = parse(file).data_offset;
    for (std::size_t length = 0; length < file.data.size(); ++length) {
        Bytes cut;
        cut.data.assign(file.data.begin(), file.data.begin() + static_cast<std::ptrdiff_t>(length));
        CHECK_THROWS(parse(cut));
    }
    CHECK(data < file.data.size());
}

void survives_mutations() {
    std::mt19937_64 random(20261123);
    const Bytes file = sound_file();
    int sound = 0;
    for (int round = 0; round < 30000; ++round) {
        Bytes mutant = file;
        for (std::uint64_t hits = 1 + random() % 4; hits > 0; --hits) {
            const std::size_t at = random() % mutant.data.size();
            const std::uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xff, static_cast<std::uint8_t>(random())};
            const std::size_t run = random() % 5 == 0 ? 8 : 1;
            for (std::size_t i = at; i < mutant.data.size() && i < at + run; ++i)
                mutant.data[i] = interesting[random() % 6];
        }
        if (random() % 8 == 0) mutant.data.resize(random() % mutant.data.size());
        try {
            const GgufHeader header = parse(mutant);
            for (const GgufTensor& tensor : header.tensors)
                CHECK(tensor.offset <= header.file_bytes && tensor.size_bytes <= header.file_bytes - tensor.offset);
            ++sound;
        } catch (const emer::Error&) {
        }
    }
    CHECK(sound > 0);
}

void walks_a_big_vocabulary_quickly() {
    Bytes file = emer::test::prologue(0, 2);
    for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
        file.text(key).number(std::uint32_t{9}).number(std::uint32_t{8}).number(std::uint64_t{150000});
        for (int i = 0; i < 150000; ++i) file.text("token" + std::to_string(i));
    }
    const auto start = std::chrono::steady_clock::now();
    const GgufHeader header = parse_gguf(file.data.data(), file.data.size());
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    CHECK(std::get<GgufArray>(header.metadata[1].value).items == 150000);
    std::printf("300000 words in %.2f ms\n", spent.count());
    CHECK(spent.count() < 500);  // 50 in a release build; the sanitizers take the rest
}

}  // namespace

int main() {
    reads_a_sound_file();
    refuses_broken_prologues();
    refuses_lies_in_metadata();
    refuses_lies_about_tensors();
    survives_every_cut();
    survives_mutations();
    walks_a_big_vocabulary_quickly();
    return emer::test::failures();
}
