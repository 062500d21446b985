"""The grid and its clips: distinct, whole, and of the kind that their cell says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest

from benchmarks.decode_clips import BASE, CLIPS, Cell, cross, digest, full, made_clip, order


def test_the_grid_covers_what_it_says() -> None:
    cells = full()
    assert len(cells) == len(set(cells)) == 5 * 3 * 3 * 2
    assert set(cross()) - {Cell("h264", 360, 4, 25)} <= set(cells)
    for cell in cross():
        apart = sum(
            getattr(cell, name) != getattr(BASE, name) for name in ("codec", "height", "seconds", "gop")
        )
        assert apart <= 1 or cell == Cell("h264", 360, 4, 25)


@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_every_seed_is_another_clip(pieces: int) -> None:
    orders = {order(pieces, seed) for seed in range(CLIPS)}
    assert len(orders) == CLIPS
    assert all(len(set(row)) == pieces for row in orders)


@pytest.mark.parametrize("cell", [Cell("h264", 64, 4, 25), Cell("mpeg4", 64, 16, 25)])
def test_a_clip_is_what_its_cell_says(tmp_path: Path, cell: Cell) -> None:
    paths = [made_clip(tmp_path, cell, seed) for seed in (0, 1)]
    assert digest(paths[:1]) != digest(paths[1:])
    with av.open(str(paths[0])) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == (cell.codec, cell.width, cell.height)
        assert float(audio.duration * audio.time_base) == pytest.approx(cell.seconds, abs=0.2)
        packets = [packet for packet in container.demux(video) if packet.size]
    assert len(packets) == cell.seconds * 25
    stamps = sorted(packet.pts for packet in packets)
    assert all(after > before for before, after in pairwise(stamps))
    keys = [stamps.index(packet.pts) for packet in packets if packet.is_keyframe]
    if cell.codec == "h264":
        assert keys == [0, 25, 50, 75]
    with av.open(str(paths[0])) as container:
        assert sum(1 for _ in container.decode(video=0)) == cell.seconds * 25


def test_a_made_clip_is_not_made_again(tmp_path: Path) -> None:
    cell = Cell("mpeg4", 64, 4, 25)
    path = made_clip(tmp_path, cell, 0)
    before = path.stat().st_mtime_ns
    assert made_clip(tmp_path, cell, 0).stat().st_mtime_ns == before
    assert not [left for left in tmp_path.iterdir() if left.name.startswith(".")]
