#include "decode_av1.h"

namespace emer {

namespace {

// Section numbers are those of the AV1 Bitstream & Decoding Process Specification, version 1.0.0 errata 1.
enum Obu { sequence_header = 1, frame_header = 3, frame = 6 };
constexpr int kChosenByFrame = 2;  // SELECT_SCREEN_CONTENT_TOOLS, SELECT_INTEGER_MV
constexpr int kKeyFrame = 0, kSwitchFrame = 3, kIntraOnlyFrame = 2;

class Bits {
public:
    Bits(const std::uint8_t* data, std::size_t size) : data_(data), bits_(size * 8) {}

    unsigned read(int count) {
        unsigned value = 0;
        for (; count > 0; --count, ++at_) {
            const unsigned bit = at_ < bits_ ? data_[at_ / 8] >> (7 - at_ % 8) & 1U : 0U;
            value = value << 1 | bit;
        }
        return value;
    }
    bool flag() { return read(1) != 0; }
    bool over() const { return at_ > bits_; }

private:
    const std::uint8_t* data_;
    std::size_t bits_;
    std::size_t at_ = 0;
};

// 5.3: calls `visit(type, payload, size)` for each unit; false when the layout makes no sense or `visit` says stop.
template <typename Visit>
bool each_obu(const std::uint8_t* data, std::size_t size, Visit visit) {
    std::size_t at = 0;
    while (at < size) {
        const std::uint8_t head = data[at++];
        const bool extended = (head >> 2 & 1) != 0;
        if ((head & 0x80) != 0) return false;
        if (extended) {
            if (at >= size || (data[at] >> 3 & 3) != 0) return false;  // spatial layers are not read here
            ++at;
        }
        std::uint64_t length = size - at;
        if ((head >> 1 & 1) != 0) {
            length = 0;
            bool whole = false;
            for (int i = 0; i < 8 && at < size && !whole; ++i) {  // leb128
                length |= static_cast<std::uint64_t>(data[at] & 127) << (7 * i);
                whole = (data[at++] & 128) == 0;
            }
            if (!whole || length > size - at) return false;
        }
        if (!visit(head >> 3 & 15, data + at, static_cast<std::size_t>(length))) return false;
        at += static_cast<std::size_t>(length);
    }
    return size > 0;
}

// 5.5.1 as far as it bears on frame headers; what is rare (still pictures, a decoder model) is not read.
Av1Sequence parse_sequence(const std::uint8_t* data, std::size_t size) {
    Av1Sequence sequence;
    Bits bits(data, size);
    bits.read(3);                                  // seq_profile
    bits.read(1);                                  // still_picture
    if (bits.flag()) return {};                    // reduced_still_picture_header
    if (bits.flag()) return {};                    // timing_info_present_flag, which may bring a decoder model
    const bool delays = bits.flag();               // initial_display_delay_present_flag
    const int points = static_cast<int>(bits.read(5)) + 1;
    for (int i = 0; i < points; ++i) {
        bits.read(12);                             // operating_point_idc
        if (bits.read(5) > 7) bits.read(1);        // seq_level_idx, seq_tier
        if (delays && bits.flag()) bits.read(4);
    }
    const int width_bits = static_cast<int>(bits.read(4)) + 1;
    const int height_bits = static_cast<int>(bits.read(4)) + 1;
    bits.read(width_bits);
    bits.read(height_bits);
    if (bits.flag()) {                             // frame_id_numbers_present_flag
        const int delta = static_cast<int>(bits.read(4)) + 2;
        sequence.frame_id_bits = delta + static_cast<int>(bits.read(3)) + 1;
    }
    bits.read(3);                                  // superblocks, filter_intra, intra_edge
    bits.read(4);                                  // interintra, masked, warped, dual_filter
    const bool order = bits.flag();                // enable_order_hint
    if (order) bits.read(2);                       // jnt_comp, ref_frame_mvs
    sequence.force_screen_tools = bits.flag() ? kChosenByFrame : static_cast<int>(bits.read(1));
    sequence.force_integer_mv = kChosenByFrame;
    if (sequence.force_screen_tools > 0 && !bits.flag()) sequence.force_integer_mv = static_cast<int>(bits.read(1));
    if (order) sequence.order_hint_bits = static_cast<int>(bits.read(3)) + 1;
    sequence.known = !bits.over();
    return sequence;
}

// 5.9.2 up to refresh_frame_flags: whether the frame is kept for no other one.
bool is_kept_for_none(const Av1Sequence& sequence, const std::uint8_t* data, std::size_t size) {
    Bits bits(data, size);
    if (bits.flag()) return false;                 // show_existing_frame: costs nothing, and a key frame is kept
    const int type = static_cast<int>(bits.read(2));
    const bool shown = bits.flag();
    if (type == kSwitchFrame || (type == kKeyFrame && shown)) return false;  // keeps all
    if (!shown) bits.read(1);                      // showable_frame
    const bool resilient = bits.flag();            // error_resilient_mode
    bits.read(1);                                  // disable_cdf_update
    const bool screen = sequence.force_screen_tools == kChosenByFrame ? bits.flag() : sequence.force_screen_tools != 0;
    if (screen && sequence.force_integer_mv == kChosenByFrame) bits.read(1);
    bits.read(sequence.frame_id_bits);
    bits.read(1);                                  // frame_size_override_flag
    bits.read(sequence.order_hint_bits);
    const bool intra = type == kKeyFrame || type == kIntraOnlyFrame;
    if (!intra && !resilient) bits.read(3);        // primary_ref_frame
    return bits.read(8) == 0 && !bits.over();
}

}  // namespace

Av1Sequence Av1Sequence::from_config(const std::uint8_t* extradata, std::size_t size) {
    Av1Sequence sequence;
    if (extradata == nullptr || size < 5 || extradata[0] != 0x81) return sequence;  // marker and version 1
    each_obu(extradata + 4, size - 4, [&](int type, const std::uint8_t* data, std::size_t length) {
        if (type == sequence_header) sequence = parse_sequence(data, length);
        return true;
    });
    return sequence;
}

bool is_droppable_av1(Av1Sequence& sequence, const std::uint8_t* data, std::size_t size) {
    int frames = 0, kept_for_none = 0;
    const bool whole = each_obu(data, size, [&](int type, const std::uint8_t* unit, std::size_t length) {
        if (type == sequence_header) sequence = parse_sequence(unit, length);
        if (type == frame_header || type == frame) {
            ++frames;
            if (sequence.known && is_kept_for_none(sequence, unit, length)) ++kept_for_none;
        }
        return true;
    });
    return whole && frames > 0 && kept_for_none == frames;
}

}  // namespace emer
