#include "decode_nal.h"

namespace emer {

namespace {

// Calls `visit(nal, size)` for each NAL unit; false when the layout makes no sense or `visit` says stop.
template <typename Visit>
bool each_sized_nal(const std::uint8_t* data, std::size_t size, int length_bytes, Visit visit) {
    std::size_t at = 0;
    const auto prefix = static_cast<std::size_t>(length_bytes);
    while (at < size) {
        if (size - at < prefix) return false;
        std::size_t length = 0;
        for (std::size_t i = 0; i < prefix; ++i) length = length << 8 | data[at + i];
        at += prefix;
        if (length == 0 || length > size - at || !visit(data + at, length)) return false;
        at += length;
    }
    return size > 0;
}

// Position after the next 00 00 01, or `size`.
std::size_t after_start_code(const std::uint8_t* data, std::size_t size, std::size_t from) {
    for (std::size_t i = from; i + 3 <= size; ++i) {
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) return i + 3;
    }
    return size;
}

template <typename Visit>
bool each_coded_nal(const std::uint8_t* data, std::size_t size, Visit visit) {
    bool any = false;
    std::size_t at = after_start_code(data, size, 0);
    while (at < size) {
        const std::size_t next = after_start_code(data, size, at);
        if (!visit(data + at, next - at)) return false;
        any = true;
        at = next;
    }
    return any;
}

template <typename Visit>
bool each_nal(const BitstreamReader& reader, const std::uint8_t* data, std::size_t size, Visit visit) {
    if (reader.length_bytes > 0) return each_sized_nal(data, size, reader.length_bytes, visit);
    return each_coded_nal(data, size, visit);
}

// ISO/IEC 14496-10 7.3.1: nal_ref_idc 2 bits, nal_unit_type 5 bits; types 1..5 are slices, 5 is IDR.
PacketTraits read_h264(const BitstreamReader& reader, const std::uint8_t* data, std::size_t size) {
    int slices = 0;
    int referenced = 0;
    int instant = 0;
    const bool whole = each_nal(reader, data, size, [&](const std::uint8_t* nal, std::size_t) {
        const int type = nal[0] & 31;
        if (type < 1 || type > 5) return true;
        ++slices;
        if (type == 5) ++instant;
        if ((nal[0] >> 5 & 3) != 0) ++referenced;
        return true;
    });
    PacketTraits traits;
    traits.random_access = slices > 0 && instant == slices;
    traits.droppable = whole && slices > 0 && referenced == 0;
    return traits;
}

// ISO/IEC 23008-2 7.3.1.2 and table 7-1: types below 32 are slices, 16..21 random access points, even types
// below 16 are not referenced within their temporal layer.
PacketTraits read_hevc(const BitstreamReader& reader, const std::uint8_t* data, std::size_t size) {
    int slices = 0;
    int unreferenced = 0;
    int points = 0;
    PacketTraits traits;
    const bool whole = each_nal(reader, data, size, [&](const std::uint8_t* nal, std::size_t length) {
        if (length < 2) return false;
        const int type = nal[0] >> 1 & 63;
        const int nuh_layer = (nal[0] & 1) << 5 | nal[1] >> 3;
        if (nuh_layer != 0) return false;
        if (type >= 32) return true;
        ++slices;
        if (type >= 16 && type <= 21) ++points;
        if (type < 16 && type % 2 == 0) ++unreferenced;
        traits.layer = (nal[1] & 7) - 1;
        return true;
    });
    traits.random_access = slices > 0 && points == slices;
    traits.droppable = whole && slices > 0 && unreferenced == slices;
    return traits;
}

// ISO/IEC 11172-2 and 13818-2: after 00 00 01 00, ten bits of order and three of type (3 is B); B3 starts a
// sequence, without which a decoder can't begin.
PacketTraits read_mpeg12(const std::uint8_t* data, std::size_t size, bool key) {
    bool sequence = false;
    int pictures = 0;
    int bidirectional = 0;
    each_coded_nal(data, size, [&](const std::uint8_t* unit, std::size_t length) {
        if (unit[0] == 0xB3) sequence = true;
        if (unit[0] != 0x00) return true;
        ++pictures;
        if (length >= 3 && (unit[2] >> 3 & 7) == 3) ++bidirectional;
        return true;
    });
    PacketTraits traits;
    traits.random_access = key && sequence;
    traits.droppable = pictures > 0 && bidirectional == pictures;
    return traits;
}

// ISO/IEC 14496-2: after 00 00 01 B6, two bits of type (2 is B).
PacketTraits read_mpeg4(const std::uint8_t* data, std::size_t size, bool key) {
    int planes = 0;
    int bidirectional = 0;
    each_coded_nal(data, size, [&](const std::uint8_t* unit, std::size_t length) {
        if (unit[0] != 0xB6) return true;
        ++planes;
        if (length >= 2 && unit[1] >> 6 == 2) ++bidirectional;
        return true;
    });
    PacketTraits traits;
    traits.random_access = key && planes == 1;
    traits.droppable = planes == 1 && bidirectional == 1;
    return traits;
}

}  // namespace

BitstreamReader BitstreamReader::make(Bitstream kind, const std::uint8_t* extradata, std::size_t size) {
    BitstreamReader reader;
    reader.kind = kind;
    if (kind == Bitstream::av1) reader.sequence = Av1Sequence::from_config(extradata, size);
    if (extradata == nullptr || size < 7 || extradata[0] != 1) return reader;
    // ISO/IEC 14496-15: avcC says it in byte 4, hvcC in byte 21.
    if (kind == Bitstream::h264) reader.length_bytes = (extradata[4] & 3) + 1;
    if (kind == Bitstream::hevc && size >= 23) reader.length_bytes = (extradata[21] & 3) + 1;
    return reader;
}

PacketTraits BitstreamReader::read(const std::uint8_t* data, std::size_t size, bool key) {
    PacketTraits traits;
    traits.random_access = key;
    if (data == nullptr || size == 0) return traits;
    switch (kind) {
        case Bitstream::h264: return read_h264(*this, data, size);
        case Bitstream::hevc: return read_hevc(*this, data, size);
        case Bitstream::mpeg12: return read_mpeg12(data, size, key);
        case Bitstream::mpeg4: return read_mpeg4(data, size, key);
        case Bitstream::vp8:
            traits.hidden = (data[0] >> 4 & 1) == 0;  // RFC 6386 9.1: show_frame
            return traits;
        case Bitstream::av1:
            traits.droppable = is_droppable_av1(sequence, data, size);
            return traits;
        case Bitstream::other: break;
    }
    return traits;
}

}  // namespace emer
