"""libavcodec's own floor: the time to decode no more than the packets that the sampled frames need.

Knows which packets those are and PyAV's codec contexts. Opening, demuxing, the plan, conversion, resizing and
sound are not in the time: no decoder on this libavcodec can be faster on one stream, except by decoding
groups of pictures at the same time where a clip has several.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from benchmarks.decode_ways import ordinals
from benchmarks.turns import Figures, Job, Stopwatch, Way


@dataclass(frozen=True)
class Packet:
    """What the plan needs to know of one packet, in stored order."""

    pts: int
    is_key: bool
    is_reference: bool


def needed(packets: list[Packet], count: int) -> list[int]:
    """Places, in stored order, of the packets without which the samples can't be decoded.

    From the last keyframe at or before each sample to the sample itself, without the frames that no other
    frame refers to.

    >>> key, p = Packet(0, True, True), Packet(3, False, True)
    >>> b1, b2 = Packet(1, False, False), Packet(2, False, False)
    >>> needed([key, p, b1, b2], 2)
    [0, 1, 3]
    """
    stamps = sorted(packet.pts for packet in packets)
    places = {packet.pts: place for place, packet in enumerate(packets)}
    targets = {stamps[ordinal] for ordinal in ordinals(len(stamps), count)}
    keys = sorted((packet.pts, place) for place, packet in enumerate(packets) if packet.is_key)
    wanted: set[int] = set()
    for target in targets:
        start = keys[max(0, bisect_right(keys, (target, len(packets))) - 1)][1]
        wanted |= {
            place
            for place in range(start, places[target] + 1)
            if packets[place].is_reference or packets[place].pts in targets
        }
    return sorted(wanted)


def is_reference(codec: str, data: bytes) -> bool:
    """Whether another frame may refer to this packet's; true where the codec's headers were not looked at.

    Sources: ISO/IEC 14496-10 7.3.1 (nal_ref_idc), ITU-T H.265 table 7-1 (even types below 16 are not
    referred to), ISO/IEC 14496-2 6.2.5 (vop_coding_type 2 is B).

    >>> is_reference("h264", bytes([0, 0, 0, 2, 0x01, 0])), is_reference("h264", bytes([0, 0, 0, 2, 0x41, 0]))
    (False, True)
    >>> is_reference("mpeg4", bytes([0, 0, 1, 0xB6, 0b10_000000]))
    False
    """
    if codec == "mpeg4":
        at = data.find(b"\x00\x00\x01\xb6")
        return at < 0 or at + 4 >= len(data) or data[at + 4] >> 6 != 2
    if codec not in ("h264", "hevc"):
        return True
    at, slices = 0, []
    while at + 5 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        head = data[at + 4]
        if codec == "h264" and 1 <= head & 31 <= 5:
            slices.append(head >> 5 & 3 != 0)
        if codec == "hevc" and (kind := head >> 1 & 63) < 32:
            slices.append(kind >= 16 or kind % 2 == 1)
        at += 4 + size
    return any(slices) or not slices


def floor_job(threads: int) -> Job:
    """What runs in its process: items are (path, count, whether to look), as in `decode_ways`."""
    import av

    def run(item: tuple[str, int, bool]) -> Figures:
        with av.open(item[0]) as container:
            stream = container.streams.video[0]
            codec = stream.codec_context.name
            packets = [packet for packet in container.demux(stream) if packet.size]
            rows = [Packet(p.pts or 0, p.is_keyframe, is_reference(codec, bytes(p))) for p in packets]
            chosen = [packets[place] for place in needed(rows, item[1])]
            extradata, known = stream.codec_context.extradata, stream.codec_context.codec
            watch = Stopwatch()
            frames = _decode(av, known, extradata, threads, chosen)
            figures = watch.stop("frames")
        stamps = sorted(row.pts for row in rows)
        missing = {stamps[ordinal] for ordinal in ordinals(len(stamps), item[1])} - frames
        if missing:
            return {"error": f"{len(missing)} samples did not come out"}
        return {**figures, "packets": len(chosen), "packets_in_all": len(packets)}

    return run


def _decode(av: Any, codec: Any, extradata: bytes | None, threads: int, packets: list[Any]) -> set[int]:
    context = av.CodecContext.create(codec.name, "r")
    context.extradata = extradata
    context.thread_count, context.thread_type = threads, "AUTO" if threads != 1 else "SLICE"
    found = {frame.pts for packet in packets for frame in context.decode(packet)}
    return found | {frame.pts for frame in context.decode(None)}


FLOORS = (
    Way("libavcodec, 1 thread", floor_job, (1,)),
    Way("libavcodec, all threads", floor_job, (0,)),
)
