"""How each decoder gets from a file to ready tensors: sampled frames and the first seconds of sound.

Knows the peers' own interfaces, used as their documentation advises and as fast as I know how. Does not know
clips, turns or tables. Every import is the peer's own, in its process; a peer that can't be had is Absent.

All do the same work: frames floor(i * n / count) as float32 [count, 3, 224, 224], (x / 255 - mean) / std, and
mono float32 at 16 kHz. Where peers may choose a resizer they get the fastest one that filters (swscale in
one pass for PyAV and decord, INTER_AREA for OpenCV, torch's uint8 bicubic for torchcodec).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.turns import Absent, Figures, Job, Stopwatch, Way

Pixels = NDArray[np.float32]
SIDE, SOUND_RATE, SOUND_SECONDS = 224, 16_000, 16
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_SCALE = np.array([1 / (255 * s) for s in STD], np.float32)
_SHIFT = np.array([-m / s for m, s in zip(MEAN, STD, strict=True)], np.float32)


class Decoder:
    """One way from a path to frames and to sound."""

    def frames(self, path: Path, count: int) -> Any:
        raise NotImplementedError

    def sound(self, path: Path) -> Any:
        raise NotImplementedError


def job(decoder: Callable[..., Decoder], *settings: Any) -> Job:
    """What runs in the peer's process: items are (path, count, whether to give the pictures back)."""
    way = decoder(*settings)

    def run(item: tuple[str, int, bool]) -> Figures:
        path, count, look = Path(item[0]), item[1], item[2]
        watch = Stopwatch()
        pictures = way.frames(path, count)
        figures = watch.stop("frames")
        sound = way.sound(path)
        figures |= watch.stop("sound")
        for unit in ("ms", "cpu_ms"):
            figures[f"both_{unit}"] = figures[f"frames_{unit}"] + figures[f"sound_{unit}"]
        if np.shape(pictures) != (count, 3, SIDE, SIDE):
            return {"error": f"frames of shape {np.shape(pictures)}"}
        if look:
            figures |= {"pictures": np.array(pictures), "sound": np.array(sound).reshape(-1)}
        return figures

    return run


def ordinals(total: int, count: int) -> list[int]:
    """Which of `total` frames are sampled.

    >>> ordinals(20, 4), ordinals(2, 4)
    ([0, 5, 10, 15], [0, 1, 1, 1])
    """
    if total >= count:
        return [i * total // count for i in range(count)]
    return [min(i, total - 1) for i in range(count)]


def _normalised(pictures: NDArray[np.uint8]) -> Pixels:
    """uint8 [n, h, w, 3] RGB -> float32 [n, 3, h, w]."""
    out = np.multiply(pictures, _SCALE, dtype=np.float32)
    out += _SHIFT
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


class Ours(Decoder):
    """emer-edge's own decoder, by the name of its backend."""

    def __init__(self, backend: str) -> None:
        from emer_edge.limits import Limits
        from emer_edge.media.native import is_built
        from emer_edge.media.source import AudioSpec, FrameSpec, open_media

        if backend == "native" and not is_built():
            raise Absent("this build has no native decoder")
        self._open: Any = lambda path: open_media(path, Limits(), backend=backend)  # type: ignore[arg-type]
        self._spec: Any = lambda count: FrameSpec(count=count, mean=MEAN, std=STD)
        self._sound_spec = AudioSpec(SOUND_RATE, max_seconds=SOUND_SECONDS)

    def frames(self, path: Path, count: int) -> Any:
        return self._open(path).frames(self._spec(count)).pixels

    def sound(self, path: Path) -> Any:
        return self._open(path).waveform(self._sound_spec).samples


class PyavSequential(Decoder):
    """Decode from the beginning and keep what is wanted: what most loaders do."""

    def __init__(self, exact: bool = False, side: int = SIDE) -> None:
        import av

        self._av, self._exact, self._side = av, exact, side

    def frames(self, path: Path, count: int) -> Pixels:
        with self._av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            total = stream.frames
            if not total:  # WebM does not say
                total = sum(1 for packet in container.demux(stream) if packet.size)
                container.seek(0)
            plan = ordinals(total, count)
            kept: dict[int, NDArray[np.uint8]] = {}
            for index, frame in enumerate(container.decode(stream)):
                if index in plan:
                    kept[index] = self.picture(frame)
                if len(kept) == len(set(plan)):
                    break
        return _normalised(np.stack([kept[index] for index in plan]))

    def picture(self, frame: Any) -> NDArray[np.uint8]:
        """uint8 [side, side, 3]."""
        side = self._side
        if self._exact:
            from PIL import Image

            whole = Image.fromarray(frame.to_ndarray(format="rgb24"))
            return np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC))
        small = frame.reformat(side, side, "rgb24", interpolation="BICUBIC")
        return np.asarray(small.to_ndarray())

    def sound(self, path: Path) -> Pixels:
        wanted, have, parts = SOUND_SECONDS * SOUND_RATE, 0, []
        with self._av.open(str(path)) as container:
            resampler = self._av.AudioResampler("fltp", "mono", SOUND_RATE)
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray()[0])
                    have += len(parts[-1])
                if have >= wanted:
                    break
            else:
                parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
        return np.concatenate(parts)[:wanted]


class PyavSeek(PyavSequential):
    """Read the index first, then seek only where a keyframe lies between here and the next wanted frame."""

    def frames(self, path: Path, count: int) -> Pixels:
        with self._av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            index = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size]
            stamps = sorted(pts for pts, _ in index)
            keys = sorted(pts for pts, is_key in index if is_key)
            plan = [stamps[ordinal] for ordinal in ordinals(len(stamps), count)]
            kept: dict[int, NDArray[np.uint8]] = {}
            here: int | None = None
            frames: Iterator[Any] = iter(())
            for target in sorted(set(plan)):
                key = max((key for key in keys if key <= target), default=keys[0])
                if here is None or key > here:
                    container.seek(key, stream=stream)
                    frames = container.decode(stream)
                for frame in frames:
                    here = frame.pts
                    if here >= target:
                        kept[target] = self.picture(frame)
                        break
        return _normalised(np.stack([kept[target] for target in plan]))


class Torchcodec(Decoder):
    """torchcodec's batch call, and its own audio decoder."""

    def __init__(self, seek_mode: str, threads: int) -> None:
        try:
            import torch
            from torchcodec.decoders import AudioDecoder, VideoDecoder
        except (OSError, RuntimeError) as error:
            raise Absent(f"torchcodec can't be loaded: {error}"[:300]) from error
        self._torch, self._video, self._audio = torch, VideoDecoder, AudioDecoder
        self._how = {"seek_mode": seek_mode, "num_ffmpeg_threads": threads}
        self._scale = torch.from_numpy(_SCALE)[:, None, None]
        self._shift = torch.from_numpy(_SHIFT)[:, None, None]

    def frames(self, path: Path, count: int) -> Any:
        decoder = self._video(str(path), **self._how)
        data = decoder.get_frames_at(ordinals(len(decoder), count)).data
        resize = self._torch.nn.functional.interpolate
        small = resize(data, (SIDE, SIDE), mode="bicubic", antialias=True)
        return small * self._scale + self._shift

    def sound(self, path: Path) -> Any:
        decoder = self._audio(str(path), sample_rate=SOUND_RATE, num_channels=1)
        return decoder.get_samples_played_in_range(0, SOUND_SECONDS).data[0]


class Decord(Decoder):
    """decord, which AffectGPT's own loader uses, scaling inside its filter graph as that does."""

    def __init__(self, side: int = SIDE) -> None:
        import decord

        self._decord, self._side = decord, side

    def frames(self, path: Path, count: int) -> Pixels:
        reader = self._decord.VideoReader(str(path), width=self._side, height=self._side, num_threads=0)
        return _normalised(reader.get_batch(ordinals(len(reader), count)).asnumpy())

    def sound(self, path: Path) -> Any:
        reader = self._decord.AudioReader(str(path), sample_rate=SOUND_RATE, mono=True)
        return reader[:].asnumpy()[0, : SOUND_SECONDS * SOUND_RATE]


class Opencv(Decoder):
    """OpenCV: grab all, retrieve what is wanted. It has no sound; PyAV's time is added."""

    def __init__(self) -> None:
        import cv2

        self._cv2, self._pyav = cv2, PyavSequential()

    def frames(self, path: Path, count: int) -> Pixels:
        cv2 = self._cv2
        capture = cv2.VideoCapture(str(path))
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        plan = ordinals(total, count)
        kept: dict[int, NDArray[np.uint8]] = {}
        for index in range(max(plan) + 1):
            if not capture.grab():
                break
            if index in plan:
                _, frame = capture.retrieve()
                kept[index] = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., ::-1]
        capture.release()
        if len(kept) < len(set(plan)):
            raise RuntimeError(f"{len(kept)} of {len(set(plan))} frames came out")
        return _normalised(np.stack([kept[index] for index in plan]))

    def sound(self, path: Path) -> Pixels:
        return self._pyav.sound(path)


OURS = "emer-edge"
REFERENCE = "PyAV + Pillow"
"""Decodes everything, converts at full size and resizes with Pillow: the others' pictures are held to it."""
WAYS = (
    Way(OURS, job, (Ours, "native")),
    Way("emer-edge on PyAV", job, (Ours, "pyav")),
    Way(REFERENCE, job, (PyavSequential, True)),
    Way("PyAV sequential", job, (PyavSequential,)),
    Way("PyAV seek", job, (PyavSeek,)),
    Way("torchcodec exact, 1 thread", job, (Torchcodec, "exact", 1)),
    Way("torchcodec exact, all threads", job, (Torchcodec, "exact", 0)),
    Way("torchcodec approximate, all threads", job, (Torchcodec, "approximate", 0)),
    Way("decord", job, (Decord,)),
    Way("OpenCV", job, (Opencv,)),
)
