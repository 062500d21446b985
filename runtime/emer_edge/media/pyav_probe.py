"""What PyAV says about an open container: streams, codecs, lengths, refusals.

Knows the codec allow-list and PyAV's objects by their attributes; does not import it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from emer_edge.errors import MediaError, UnsupportedMediaError
from emer_edge.limits import Limits
from emer_edge.media.pyav_frames import Watch, first_frame
from emer_edge.media.source import AudioStream, Probe, SubtitleStream, VideoStream

CONVERT = "Convert the clip to MP4 (H.264, AAC)."
"""What to do about a clip that can't be used."""
VIDEO_CODECS = frozenset(
    (
        "h264",
        "hevc",
        "vp8",
        "vp9",
        "av1",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "mjpeg",
        "h263",
        "msmpeg4v2",
        "msmpeg4v3",
        "theora",
        "prores",
    )
)
AUDIO_CODECS = frozenset(
    (
        "aac",
        "aac_latm",
        "mp1",
        "mp2",
        "mp3",
        "opus",
        "vorbis",
        "flac",
        "alac",
        "ac3",
        "eac3",
        "amr_nb",
        "amr_wb",
        "pcm_u8",
        "pcm_s16le",
        "pcm_s16be",
        "pcm_s24le",
        "pcm_s24be",
        "pcm_s32le",
        "pcm_f32le",
        "pcm_f64le",
        "pcm_alaw",
        "pcm_mulaw",
        "adpcm_ms",
        "adpcm_ima_wav",
    )
)
TEXT_CODECS = frozenset(("subrip", "srt", "mov_text", "webvtt", "ass", "ssa", "text"))


def codec_name(stream: Any) -> str:
    """The codec, not the decoder that happens to read it; empty when PyAV has no decoder."""
    context = stream.codec_context
    return "" if context is None else str(getattr(context.codec, "canonical_name", context.name))


def pixels(context: Any) -> int:
    """Declared width times height; 0 unknown."""
    return int(context.width or 0) * int(context.height or 0)


def duration_seconds(container: Any) -> float:
    """Seconds; the longest that container or streams declare; 0 unknown."""
    longest = max(0.0, (container.duration or 0) / 1_000_000)
    for stream in (*container.streams.video, *container.streams.audio):
        if stream.duration and stream.time_base:
            longest = max(longest, float(stream.duration * stream.time_base))
    return longest


def zero_seconds(container: Any) -> float:
    """Time on the container's clock that is zero on the clip's: only MPEG streams start anywhere."""
    drifting = container.format.name in ("mpegts", "mpeg")
    return (container.start_time or 0) / 1_000_000 if drifting else 0.0


def _is_picture(stream: Any) -> bool:
    """Whether a video stream is a cover picture."""
    disposition = getattr(stream, "disposition", 0)
    return bool(int(disposition) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


def best_stream(container: Any, kind: str, path: Path) -> Any:
    """The stream to use. Raises MediaError or UnsupportedMediaError."""
    stream = _find(container, kind)
    if stream is None:
        raise MediaError(f"{path} has no {kind} stream.", todo="Check that this is the right clip.")
    refusal = _refusal(stream)
    if refusal:
        raise UnsupportedMediaError(f"{path}: the {kind} can't be decoded.", refusal, CONVERT)
    return stream


def _find(container: Any, kind: str) -> Any:
    best = container.streams.best(kind)
    if best is None or (kind == "video" and _is_picture(best)):
        streams = container.streams.video if kind == "video" else container.streams.audio
        best = next((stream for stream in streams if not (kind == "video" and _is_picture(stream))), None)
    return best


def _refusal(stream: Any) -> str:
    name = codec_name(stream)
    if not name:
        return "PyAV has no decoder for its codec."
    if name not in VIDEO_CODECS | AUDIO_CODECS:
        return f"The codec {name} is not on the allow-list."
    return ""


def probe_container(container: Any, path: Path, limits: Limits, watch: Watch) -> Probe:
    """What the clip holds. Decodes one frame, to know which way is up."""
    video, audio = _find(container, "video"), _find(container, "audio")
    refusals = [_refusal(stream) for stream in (video, audio) if stream is not None]
    subtitles = [
        SubtitleStream(stream.index, codec_name(stream), _language(stream), codec_name(stream) in TEXT_CODECS)
        for stream in container.streams.subtitles
    ]
    return Probe(
        container=container.format.name,
        size_bytes=path.stat().st_size,
        duration_seconds=duration_seconds(container),
        video=None if video is None else _video(container, video, limits, watch),
        audio=None if audio is None else _audio(audio),
        subtitles=tuple(subtitles),
        streams=len(container.streams),
        refusals=tuple(reason for reason in refusals if reason),
    )


def _video(container: Any, stream: Any, limits: Limits, watch: Watch) -> VideoStream:
    context = stream.codec_context
    frame, rotation = (None, 0) if _refusal(stream) else first_frame(container, stream, limits, watch)
    rate = stream.average_rate or stream.base_rate
    return VideoStream(
        codec=codec_name(stream),
        width=int((frame or context).width or 0) if context is not None else 0,
        height=int((frame or context).height or 0) if context is not None else 0,
        fps=float(rate) if rate else 0.0,
        frames=stream.frames or None,
        rotation=rotation,
        pixel_format="" if frame is None else str(frame.format.name),
        index=stream.index,
    )


def _audio(stream: Any) -> AudioStream:
    context = stream.codec_context
    if context is None:
        return AudioStream("", 0, 0, stream.index)
    return AudioStream(
        codec_name(stream), int(context.sample_rate or 0), int(context.channels or 0), stream.index
    )


def _language(stream: Any) -> str:
    tag = str(stream.metadata.get("language", ""))
    return tag if re.fullmatch(r"[A-Za-z0-9-]{2,12}", tag) else ""
