"""Draws and encodes the small clips that the media tests read, each with one property worth testing.

Everything is computed: no recording. Run `python tests/data/make_clips.py FOLDER`; the C++ tests take that
folder as their argument.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 25
FRAMES = 60


@dataclass(frozen=True)
class Picture:
    """How the pictures of a clip are encoded."""

    codec: str = "libx264"
    width: int = 96
    height: int = 64
    pixel_format: str = "yuv420p"
    frames: int = FRAMES
    options: dict[str, str] = field(default_factory=lambda: {"g": "250", "bf": "3", "preset": "fast"})
    stamps: tuple[int, ...] = ()
    """Presentation times in 1/1000 s; even spacing without."""
    rotation: int = 0
    """Degrees anticlockwise, as libav counts."""


@dataclass(frozen=True)
class Sound:
    """How the sound of a clip is encoded."""

    codec: str = "aac"
    rate: int = 44_100
    layout: str = "stereo"
    seconds: float = FRAMES / RATE
    late_seconds: float = 0.0


def draw(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Frame `number`: a moving gradient with a bright bar whose place tells the number."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 2 + number * 5) % 256
    green = (y * 3 + number * 3) % 256
    blue = np.full_like(red, (number * 7) % 256)
    frame = np.stack([red, green, blue], axis=2).astype(np.uint8)
    bar = number * max(1, width // 12) % width
    frame[:, bar : bar + max(1, width // 12)] = 255
    return frame


def tone(sound: Sound) -> NDArray[np.float32]:
    """One sine per channel, each of another pitch and loudness, so that a sum is no mean."""
    channels = av.AudioLayout(sound.layout).nb_channels
    t = np.arange(int(sound.seconds * sound.rate)) / sound.rate
    waves = [0.6 / (c + 1) * np.sin(2 * np.pi * (220 + 110 * c) * t) for c in range(channels)]
    return np.array(waves, np.float32)


def encode(path: Path, picture: Picture | None, sound: Sound | None, **options: str) -> Path:
    """One clip."""
    with av.open(str(path), "w", options=options) as container:
        video = None if picture is None else _add_video(container, picture)
        audio = (
            None if sound is None else container.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
        )
        if picture is not None:
            _encode_video(container, video, picture)
        if sound is not None:
            _encode_audio(container, audio, sound)
    return path


def _add_video(container: Any, picture: Picture) -> Any:
    stream = container.add_stream(picture.codec, rate=RATE, options=picture.options)
    stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, picture.pixel_format
    stream.codec_context.thread_count = 1
    if picture.stamps:
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    if picture.rotation:
        stream.set_display_rotation(picture.rotation)
    return stream


def _encode_video(container: Any, stream: Any, picture: Picture) -> None:
    for number in range(picture.frames):
        frame = av.VideoFrame.from_ndarray(draw(number, picture.width, picture.height), format="rgb24")
        frame = frame.reformat(format=picture.pixel_format)
        frame.pts = picture.stamps[number] if picture.stamps else number
        frame.time_base = Fraction(1, 1000) if picture.stamps else Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encode_audio(container: Any, stream: Any, sound: Sound) -> None:
    wave = tone(sound)
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=sound.layout, rate=sound.rate)
    for at in range(0, wave.shape[1], size):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave[:, at : at + size]), "fltp", sound.layout
        )
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = at + int(sound.late_seconds * sound.rate)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def remux(source: Path, path: Path, *, shift: int = 0, subtitle: Path | None = None) -> Path:
    """Copy packets to another container, `shift` ticks earlier, with a subtitle file's cues."""
    with (
        av.open(str(source)) as inside,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out,
    ):
        streams = {
            s.index: out.add_stream_from_template(s) for s in inside.streams if s.type in ("video", "audio")
        }
        words = None if subtitle is None else av.open(str(subtitle))
        target = None if words is None else out.add_stream_from_template(words.streams[0])
        for packet in inside.demux(*[inside.streams[index] for index in streams]):
            if packet.dts is None:
                continue
            packet.stream = streams[packet.stream_index]
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            out.mux(packet)
        if words is not None:
            for packet in words.demux(0):
                if packet.dts is not None:
                    packet.stream = target
                    out.mux(packet)
            words.close()
    return path


X265 = "log-level=none:bframes=3:keyint=25"
DASH = (
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    b'<Representation id="1"><BaseURL>h264_aac.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
SRT = (
    "1\n00:00:00,200 --> 00:00:01,000\nHello <i>there</i>\n\n2\n00:00:01,100 --> 00:00:02,000\nSecond\nline\n"
)


def make_clips(folder: Path) -> dict[str, Path]:
    """Every clip, by file name. Same bytes in, same clips out, as far as the encoders are deterministic."""
    folder.mkdir(parents=True, exist_ok=True)
    stereo = Sound()
    plain = {"g": "12", "bf": "2"}
    jobs: dict[str, tuple[Picture | None, Sound | None]] = {
        "h264_aac.mp4": (Picture(), stereo),
        "h264_gops.mkv": (Picture(options={**plain, "preset": "fast"}), Sound("libopus", 48_000)),
        "h264_opengop.mp4": (Picture(options={"x264-params": "open-gop=1:keyint=15:bframes=3"}), None),
        "h264_refresh.mp4": (Picture(options={"x264-params": "intra-refresh=1:keyint=20:bframes=0"}), None),
        "h264_baseline.mp4": (Picture(options={"profile": "baseline", "g": "250"}), None),
        "h264_odd.mp4": (Picture(width=37, height=53, pixel_format="yuv444p"), None),
        "h264_10bit.mp4": (Picture(pixel_format="yuv420p10le"), None),
        "h264_one.mp4": (Picture(frames=1), None),
        "h264_three.mp4": (Picture(frames=3), None),
        "h264_mp2.ts": (Picture(options={**plain, "preset": "fast"}), Sound("mp2", 48_000)),
        "h264_vfr.mp4": (Picture(frames=40, stamps=tuple(i * 40 + (i // 10) * 500 for i in range(40))), None),
        "h264_90.mp4": (Picture(rotation=-90), None),
        "h264_180.mp4": (Picture(rotation=180), None),
        "h264_270.mp4": (Picture(rotation=90), None),
        "hevc_aac.mp4": (Picture("libx265", options={"x265-params": X265}), stereo),
        "vp8_opus.webm": (Picture("libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "9"}),
                            Sound("libopus", 48_000)),
        "vp9_opus.webm": (Picture("libvpx-vp9", 35, 51, options={"lag-in-frames": "16", "cpu-used": "5"}),
                          Sound("libopus", 48_000)),
        "mpeg4_mp3.avi": (Picture("mpeg4", options=plain), Sound("libmp3lame")),
        "mpeg4_b.mp4": (Picture("mpeg4", options=plain), None),
        "mpeg2_mp2.mpg": (Picture("mpeg2video", options=plain), Sound("mp2")),
        "mjpeg_pcm.avi": (Picture("mjpeg", pixel_format="yuvj422p", options={}), Sound("pcm_s16le")),
        "late_sound.mp4": (Picture(), Sound(seconds=1.5, late_seconds=0.5)),
        "prores.mov": (Picture("prores_ks", pixel_format="yuv422p10le", frames=12, options={}), None),
        "av1.mkv": (Picture("libsvtav1", options={"preset": "12", "svtav1-params": "keyint=20"}), None),
        "sound.m4a": (None, stereo),
        "sound.wav": (None, Sound("pcm_s16le")),
        "sound_24bit.wav": (None, Sound("pcm_s24le", 48_000, "mono")),
        "sound_8k.wav": (None, Sound("pcm_s16le", 8_000, "mono")),
        "sound.flac": (None, Sound("flac", 32_000)),
        "sound.mp3": (None, Sound("libmp3lame")),
        "sound.ogg": (None, Sound("libopus", 48_000)),
        "surround.wav": (None, Sound("pcm_s16le", 48_000, "5.1")),
    }  # fmt: skip
    clips = {name: encode(folder / name, *job) for name, job in jobs.items()}
    clips["faststart.mp4"] = encode(folder / "faststart.mp4", Picture(), stereo, movflags="faststart")
    clips["fragments.mp4"] = encode(
        folder / "fragments.mp4", Picture(options=plain), stereo, movflags="frag_keyframe+empty_moov"
    )
    clips["edit_list.mp4"] = remux(clips["mpeg4_b.mp4"], folder / "edit_list.mp4", shift=7 * 512)
    _write(folder / "words.srt", SRT.encode())
    clips["words.mkv"] = remux(clips["h264_aac.mp4"], folder / "words.mkv", subtitle=folder / "words.srt")
    small = encode(folder / "small.ts", Picture("mpeg2video", 64, 48, frames=20, options={"g": "5"}), None)
    large = encode(folder / "large.ts", Picture("mpeg2video", frames=20, options={"g": "5"}), None)
    clips["size_change.ts"] = _write(folder / "size_change.ts", large.read_bytes() + small.read_bytes())
    return {**clips, **make_hostile(folder, clips)}


def make_hostile(folder: Path, clips: dict[str, Path]) -> dict[str, Path]:
    """Damaged clips, and files that only pretend to be clips."""
    dice = random.Random(1)
    whole = clips["faststart.mp4"].read_bytes()
    flipped = bytearray(whole)
    for _ in range(40):
        flipped[dice.randrange(len(whole) // 4, len(whole))] ^= 1 << dice.randrange(8)
    target = clips["h264_aac.mp4"]
    size = b"\x00\x60\x00\x40"  # 96 x 64 in the sample description
    files = {
        "cut.mp4": whole[: len(whole) * 6 // 10],
        "cut.mkv": clips["h264_gops.mkv"].read_bytes()[:6_000],
        "flipped.mp4": bytes(flipped),
        "no_moov.mp4": target.read_bytes()[:8_000],
        "empty.mp4": b"",
        "text.mp4": b"This is no clip.\n" * 40,
        "noise.mp4": dice.randbytes(5_000),
        "lying_size.mp4": target.read_bytes().replace(size, b"\x00\x10\x00\x10"),
        "playlist.mp4": _playlist(target.resolve().as_uri()),
        "playlist_relative.mp4": _playlist(target.name),
        "playlist_http.mp4": _playlist("http://127.0.0.1:9/other.ts"),
        "ffconcat.mp4": f"ffconcat version 1.0\nfile {target.name}\n".encode(),
        "ffconcat_absolute.mp4": f"ffconcat version 1.0\nfile '{target.resolve()}'\n".encode(),
        "dash.mp4": DASH,
        "session.mp4": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    }
    return {name: _write(folder / name, data) for name, data in files.items()}


def _playlist(uri: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{uri}\n#EXT-X-ENDLIST\n".encode()


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    for made in make_clips(Path(sys.argv[1])).values():
        print(made)
