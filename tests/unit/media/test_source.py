"""Opening: what is refused before anything is decoded, and what a clip is said to hold."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from pathlib import Path

import pytest

from emer_edge import _core
from emer_edge.errors import EmerError, InputError, LimitError, MediaError, UnsupportedMediaError
from emer_edge.limits import Limits
from emer_edge.media import native
from emer_edge.media.source import AudioSpec, FrameSpec, open_media

BACKENDS = [
    pytest.param(
        "native", marks=pytest.mark.skipif(not _core.decode_backend()["have_libav"], reason="no libav")
    ),
    "pyav",
]
PRETENDERS = """
text.mp4 noise.mp4 no_moov.mp4 playlist.mp4 playlist_relative.mp4 playlist_http.mp4 ffconcat.mp4
ffconcat_absolute.mp4 dash.mp4 session.mp4 words.srt
"""


def read_all(path: Path, backend: str, limits: Limits | None = None) -> None:
    """Whatever a caller may do with a clip."""
    source = open_media(path, limits or Limits(), backend=backend)
    probe = source.probe()
    json.dumps(probe.to_dict())
    if probe.video is not None:
        source.frames(FrameSpec(count=2, height=8, width=8))
    if probe.audio is not None:
        source.waveform(AudioSpec())
    source.embedded_cues()


@pytest.mark.parametrize("backend", BACKENDS)
def test_probe(made_clips: Path, backend: str) -> None:
    probe = open_media(made_clips / "h264_aac.mp4", Limits(), backend=backend).probe()
    assert probe.container == "mov,mp4,m4a,3gp,3g2,mj2"
    assert probe.size_bytes == (made_clips / "h264_aac.mp4").stat().st_size
    assert probe.duration_seconds == pytest.approx(2.4, abs=0.05)
    assert probe.video is not None
    assert (probe.video.codec, probe.video.width, probe.video.height) == ("h264", 96, 64)
    assert (probe.video.fps, probe.video.frames, probe.video.rotation) == (25.0, 60, 0)
    assert probe.video.pixel_format == "yuv420p"
    assert probe.audio is not None
    assert (probe.audio.codec, probe.audio.sample_rate, probe.audio.channels) == ("aac", 44_100, 2)
    assert (probe.streams, probe.subtitles, probe.refusals) == (2, (), ())


@pytest.mark.parametrize("backend", BACKENDS)
def test_probe_of_streams_without_a_header(made_clips: Path, backend: str) -> None:
    for name in ("mpeg2_mp2.mpg", "h264_mp2.ts"):
        video = open_media(made_clips / name, Limits(), backend=backend).probe().video
        assert video is not None
        assert (video.width, video.height, video.pixel_format) == (96, 64, "yuv420p")


@pytest.mark.parametrize("backend", BACKENDS)
def test_probe_tells_the_rotation(made_clips: Path, backend: str) -> None:
    for name, degrees in (("h264_90.mp4", 90), ("h264_180.mp4", 180), ("h264_270.mp4", 270)):
        video = open_media(made_clips / name, Limits(), backend=backend).probe().video
        assert video is not None
        assert video.rotation == degrees


@pytest.mark.parametrize("backend", BACKENDS)
def test_embedded_cues(made_clips: Path, backend: str) -> None:
    source = open_media(made_clips / "words.mkv", Limits(), backend=backend)
    (stream,) = source.probe().subtitles
    assert (stream.codec, stream.is_text) == ("subrip", True)
    first, second = source.embedded_cues()
    assert (first.text, second.text) == ("Hello there", "Second\nline")
    assert (first.start_seconds, first.end_seconds) == pytest.approx((0.2, 1.0), abs=0.002)
    assert open_media(made_clips / "h264_aac.mp4", Limits(), backend=backend).embedded_cues() == []
    with pytest.raises(LimitError):
        open_media(made_clips / "words.mkv", Limits(subtitle_cues=1), backend=backend).embedded_cues()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PRETENDERS.split())
def test_pretenders_are_refused(made_clips: Path, name: str, backend: str) -> None:
    with pytest.raises(MediaError) as caught:
        read_all(made_clips / name, backend)
    assert name in caught.value.what
    assert caught.value.todo


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_other_file_and_no_network(made_clips: Path, tmp_path: Path, backend: str) -> None:
    opened: list[str] = []
    sockets: list[str] = []
    watching = True

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open":
            opened.append(str(arguments[0]))
        if watching and event.startswith("socket."):
            sockets.append(event)

    calls: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5)
    port = server.getsockname()[1]

    def accept() -> None:
        try:
            calls.append(server.accept()[0].recv(1))
        except OSError:
            return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    (tmp_path / "http.mp4").write_bytes(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nhttp://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n".encode()
    )
    sys.addaudithook(listen)
    try:
        for path in (tmp_path / "http.mp4", made_clips / "ffconcat.mp4", made_clips / "playlist.mp4"):
            with pytest.raises(EmerError):
                read_all(path, backend)
        for url in (
            f"http://127.0.0.1:{port}/x.mp4",
            "concat:a.mp4|b.mp4",
            "file:///etc/passwd",
            "subfile,,:x",
        ):
            with pytest.raises(InputError):
                open_media(url, Limits(), backend=backend)
    finally:
        watching = False
        server.close()
        thread.join(6)
    assert not calls
    assert not sockets
    assert not [name for name in opened if name.endswith("h264_aac.mp4")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_no_file(tmp_path: Path, made_clips: Path, backend: str) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for wrong in (tmp_path / "missing.mp4", tmp_path, tmp_path / "pipe.mp4", "/dev/zero", "", "a\0b.mp4"):
        with pytest.raises(InputError):
            open_media(wrong, Limits(), backend=backend)
    with pytest.raises(InputError):
        open_media(3, Limits(), backend=backend)  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="empty"):
        open_media(made_clips / "empty.mp4", Limits(), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_names_that_look_like_protocols_or_are_no_text(
    made_clips: Path, tmp_path: Path, backend: str
) -> None:
    for name in ("clip:01.mp4", "concat:a|b", "-i.mp4", "a b\n#%d.mp4", os.fsdecode(b"caf\xe9.mp4")):
        shutil.copy(made_clips / "h264_three.mp4", tmp_path / name)
        if backend == "pyav" and "\udce9" in name:
            continue  # PyAV takes no such name
        read_all(tmp_path / name, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ceilings_at_opening(made_clips: Path, backend: str) -> None:
    clip = made_clips / "h264_aac.mp4"
    for limits in (Limits(file_bytes=100), Limits(pixels=5_000), Limits(streams=1), Limits(clip_seconds=1)):
        with pytest.raises(LimitError):
            open_media(clip, limits, backend=backend).probe()


def test_unknown_backend(made_clips: Path) -> None:
    with pytest.raises(InputError):
        open_media(made_clips / "h264_aac.mp4", Limits(), backend="opencv")  # type: ignore[arg-type]


def test_pyav_takes_over_where_native_cannot(made_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = made_clips / "h264_aac.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(native, "is_built", lambda: False)
        assert open_media(clip, Limits()).backend == "pyav"
        with pytest.raises(UnsupportedMediaError):
            open_media(clip, Limits(), backend="native")
    if native.is_built():
        assert open_media(clip, Limits()).backend == "native"
        monkeypatch.setattr(native.NativeSource, "lacks_decoder", lambda self: True)
        assert open_media(clip, Limits()).backend == "pyav"
        assert open_media(clip, Limits(), backend="native").backend == "native"


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_stays_open(made_clips: Path, backend: str) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    names = ("h264_aac.mp4", "cut.mp4", "text.mp4", "playlist.mp4", "no_moov.mp4", "sound.wav")
    for round_number in range(3):
        before = descriptors() if round_number else 0
        for name in names:
            try:
                read_all(made_clips / name, backend)
            except MediaError:
                assert name in ("text.mp4", "playlist.mp4", "no_moov.mp4")
    assert descriptors() <= before
