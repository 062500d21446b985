"""Decodes clips with the native decoder and proves which libav did it: for `check.sh` and cibuildwheel.

    python scripts/wheels/loaded.py CLIP...        # with a wheel of emer-edge installed, and without it

Knows /proc/self/maps. Does not know what is inside a clip; that is the test suite's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emer_edge.media.source import Probe

LIBAV = re.compile(r"lib(av(codec|format|util)|sw(scale|resample)|dav1d)[-.]")


def loaded_libraries(maps: str) -> list[Path]:
    """Files of libav among the mapped ones, as /proc/self/maps tells them."""
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}
    return sorted(Path(path) for path in paths if LIBAV.match(Path(path).name))


def foreign(libraries: list[Path], home: Path) -> list[Path]:
    """Those that lie in no folder of the wheels' libraries."""
    return [
        path for path in libraries if path.parent.parent != home or not path.parent.name.endswith(".libs")
    ]


def codecs(probe: Probe) -> tuple[str | None, str | None]:
    """Of the pictures and of the sound."""
    video, audio = probe.video, probe.audio
    return None if video is None else video.codec, None if audio is None else audio.codec


def main(clips: list[str]) -> int:
    """Decode, then look."""
    from emer_edge import _core
    from emer_edge.limits import Limits
    from emer_edge.media.source import AudioSpec, FrameSpec, open_media

    probes = {}
    for clip in clips:
        source = open_media(Path(clip), Limits(), backend="native")
        probe = source.probe()
        got = []
        if probe.video is not None:
            batch = source.frames(FrameSpec(count=2, height=32, width=32))
            got.append(f"{probe.video.codec} {len(batch.pts_seconds)} frames")
        if probe.audio is not None:
            got.append(f"{probe.audio.codec} {source.waveform(AudioSpec()).samples.size} samples")
        print(f"{Path(clip).name}: {', '.join(got)}")
        probes[clip] = probe
    libraries = loaded_libraries(Path("/proc/self/maps").read_text(encoding="utf-8"))
    print(f"licence: {_core.decode_backend()['licence']}")
    for path in libraries:
        print(f"loaded: {path}")
    strange = foreign(libraries, Path(_core.__file__).resolve().parent.parent)
    if strange or not libraries:
        print(f"not from the wheel: {', '.join(map(str, strange)) or 'no libav at all'}", file=sys.stderr)
        return 1
    # A part that this libav lacks would show as a stream that is not there: PyAV's libav is whole.
    for clip, probe in probes.items():
        whole = open_media(Path(clip), Limits(), backend="pyav").probe()
        if codecs(probe) != codecs(whole):
            print(f"{clip}: {codecs(probe)}, but PyAV finds {codecs(whole)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
