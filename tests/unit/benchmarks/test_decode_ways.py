"""Every way to decode gives the same frames and sound, and the floor decodes no more than it must."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decode import _agreement
from benchmarks.decode_floor import Packet, floor_job, is_reference, needed
from benchmarks.decode_ways import (
    OURS,
    STD,
    WAYS,
    Decoder,
    Ours,
    PyavSeek,
    PyavSequential,
    job,
    ordinals,
)
from emer_edge.media.native import is_built

NATIVE = pytest.param("native", marks=pytest.mark.skipif(not is_built(), reason="no native decoder here"))


@pytest.fixture(scope="module")
def truth(made_clips: Path) -> dict[str, np.ndarray]:
    way = PyavSequential(True)
    clips = ("h264_aac.mp4", "h264_gops.mkv", "vp9_opus.webm")
    return {clip: way.frames(made_clips / clip, 8) for clip in clips}


def levels(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean difference in levels of 255 of the worst frame."""
    scale = 255 * np.array(STD).reshape(1, 3, 1, 1)
    return float((np.abs(np.asarray(found) - truth) * scale).mean(axis=(1, 2, 3)).max())


@pytest.mark.parametrize("backend", [NATIVE, "pyav"])
def test_ours_gives_the_reference_frames(
    made_clips: Path, truth: dict[str, np.ndarray], backend: str
) -> None:
    for clip, expected in truth.items():
        # The clip of VP9 has odd sides, whose chroma libav's versions convert differently.
        bound = 4 if clip.startswith("vp9") else 1.5
        assert levels(Ours(backend).frames(made_clips / clip, 8), expected) < bound, clip


@pytest.mark.parametrize("way", [PyavSequential(), PyavSeek()])
def test_peers_on_pyav_give_the_same_frames(
    made_clips: Path, truth: dict[str, np.ndarray], way: Decoder
) -> None:
    for clip, expected in truth.items():
        assert levels(way.frames(made_clips / clip, 8), expected) < 12, clip


@pytest.mark.parametrize(
    "row", [way for way in WAYS if way.name.startswith(("torchcodec", "decord", "OpenCV"))]
)
def test_optional_peers_give_the_same_frames(
    made_clips: Path, truth: dict[str, np.ndarray], row: object
) -> None:
    name = row.name  # type: ignore[attr-defined]
    module = {"torchcodec": "torchcodec", "decord": "decord", "OpenCV": "cv2"}[name.split()[0]]
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    from benchmarks.turns import Peer

    peer = Peer(row)  # type: ignore[arg-type]
    look = peer.ask((str(made_clips / "h264_aac.mp4"), 8, True))
    peer.close()
    if peer.absent:
        pytest.skip(peer.absent)
    assert levels(look["pictures"], truth["h264_aac.mp4"]) < 12
    assert abs(len(look["sound"]) - 2.4 * 16_000) < 2_000


def test_a_job_counts_both_senses(made_clips: Path) -> None:
    figures = job(PyavSequential)((str(made_clips / "h264_aac.mp4"), 4, True))
    assert figures["both_ms"] == figures["frames_ms"] + figures["sound_ms"]
    assert figures["pictures"].shape == (4, 3, 224, 224)
    assert _agreement(figures, figures)["levels_apart"] == 0
    shifted = {**figures, "pictures": np.roll(figures["pictures"], 1, axis=0) + 0.5}
    assert _agreement(shifted, figures)["wrong_frames"] == 4


def test_ordinals_are_those_of_the_runtime() -> None:
    assert ordinals(60, 8) == [0, 7, 15, 22, 30, 37, 45, 52]
    assert ordinals(3, 8) == [0, 1, 2, 2, 2, 2, 2, 2]


def test_only_what_leads_to_a_sample_is_needed() -> None:
    # Stored order I P B B I P B B; shown order 0 3 1 2 4 7 5 6.
    rows = [(0, "I"), (3, "P"), (1, "B"), (2, "B"), (4, "I"), (7, "P"), (5, "B"), (6, "B")]
    packets = [Packet(pts, kind == "I", kind != "B") for pts, kind in rows]
    assert needed(packets, 2) == [0, 4]
    assert needed(packets, 4) == [0, 1, 3, 4, 5, 7]
    assert needed(packets, 8) == list(range(8))


def test_unknown_layouts_count_as_needed() -> None:
    assert is_reference("vp9", b"\x00")
    assert is_reference("h264", b"")
    assert not is_reference("hevc", bytes([0, 0, 0, 2, 0 << 1, 1]))
    assert is_reference("hevc", bytes([0, 0, 0, 2, 1 << 1, 1]))
    assert is_reference("mpeg4", b"\x00\x00\x01\xb6\x40")


@pytest.mark.parametrize("threads", [1, 0])
@pytest.mark.parametrize("clip", ["h264_aac.mp4", "hevc_aac.mp4", "mpeg4_b.mp4", "vp9_opus.webm"])
def test_the_floor_decodes_its_samples(made_clips: Path, clip: str, threads: int) -> None:
    figures = floor_job(threads)((str(made_clips / clip), 8, False))
    assert "error" not in figures
    assert 8 <= figures["packets"] <= figures["packets_in_all"] == 60
    if clip == "h264_aac.mp4":
        assert figures["packets"] < 50


def test_our_way_is_among_the_ways() -> None:
    assert WAYS[0].name == OURS
    assert len({way.name for way in WAYS}) == len(WAYS)
