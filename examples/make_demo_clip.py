"""Draw a talking face with a synthetic voice and a subtitle, and write them as demo.mp4 + demo.srt.

No recording of a person may be shipped with the project, so the demo clip is made here. It knows nothing of
emer-edge: it is an ordinary H.264 + AAC file.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS, SECONDS, RATE = 640, 360, 25, 6.0, 44_100
WORDS = ("I can't believe it, we won!", "This is the best day of my life!")


def _blob(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    soft: float = 0.06,
) -> NDArray[np.float64]:
    """Coverage 0..1 of a soft-edged ellipse on the pixel grid."""
    radius = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
    return np.clip((1 - radius) / soft + 0.5, 0, 1)


@cache
def draw_face(mouth_open: float, blink: float) -> NDArray[np.uint8]:
    """One frame (360, 640, 3) uint8: a smiling face; `mouth_open`, `blink` 0..1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    cx, cy = WIDTH / 2, HEIGHT / 2 + 5
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:] = np.array([92, 112, 128]) + (y[..., None] / HEIGHT) * 40

    def paint(cover: NDArray[np.float64], colour: tuple[float, float, float]) -> None:
        picture[:] = picture * (1 - cover[..., None]) + np.array(colour) * cover[..., None]

    light = 1.0 - 0.18 * np.clip((x - cx + 30) / 160, -0.3, 1)
    paint(_blob(x, y, cx, cy + 190, 170, 90), (70, 80, 130))
    paint(_blob(x, y, cx, cy + 105, 42, 60), (196, 148, 122))
    paint(_blob(x, y, cx, cy - 26, 104, 128), (52, 36, 28))
    skin = _blob(x, y, cx, cy, 88, 116, 0.04)
    tone = np.array([224, 176, 148]) * light[..., None]
    picture[:] = picture * (1 - skin[..., None]) + tone * skin[..., None]
    paint(_blob(x, y, cx, cy - 112, 84, 44) * (y < cy - 78), (52, 36, 28))
    for side in (-1, 1):
        ex, ey = cx + side * 35, cy - 22
        paint(0.35 * _blob(x, y, ex, ey, 27, 18, 0.6), (120, 80, 66))
        paint(_blob(x, y, ex, ey, 17, max(1.5, 8.5 * (1 - blink))), (244, 240, 236))
        paint(_blob(x, y, ex, ey, 8, max(1.2, 8 * (1 - blink))), (64, 44, 30))
        paint(_blob(x, y, ex + 2, ey - 2, 2.2, 2.2, 0.5), (255, 255, 255))
        brow = ey - 24 + 0.006 * (x - ex) ** 2
        paint(np.clip(1 - np.abs(y - brow) / 3.6, 0, 1) * (np.abs(x - ex) < 22), (58, 40, 30))
        paint(0.30 * _blob(x, y, cx + side * 52, cy + 26, 24, 18, 0.9), (232, 120, 110))
    paint(0.45 * _blob(x, y, cx + 5, cy + 14, 10, 20, 0.8), (176, 120, 98))
    for side in (-1, 1):
        paint(0.8 * _blob(x, y, cx + side * 8, cy + 28, 4, 3, 0.6), (140, 86, 70))
    smile = cy + 62 - 0.0075 * (x - cx) ** 2
    inside = (np.abs(x - cx) < 40) * np.clip(1 - np.abs(y - smile) / (4 + 12 * mouth_open), 0, 1) ** 0.4
    paint(inside * 0.95, (176, 70, 74))
    teeth = (np.abs(x - cx) < 32) * (np.abs(y - smile + 1) < 2.5 + 5 * mouth_open)
    paint(teeth * 0.9, (246, 240, 232))
    noise = np.random.default_rng(1).normal(0, 2.0, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def speak() -> NDArray[np.float32]:
    """A lively, high, varied voice (n,) float32 at 44.1 kHz: pulses through three formants."""
    time = np.arange(int(SECONDS * RATE)) / RATE
    pitch = 260 + 70 * np.sin(2 * np.pi * 0.9 * time) + 30 * np.sin(2 * np.pi * 2.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [(700, 110), (1500, 140), (2600, 200)]
    sound = np.zeros_like(time)
    for harmonic in range(1, 22):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - f) / (2 * b)) ** 2) for f, b in formants) / harmonic**0.4
        sound += gain * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * time) ** 2, 0, 1) ** 0.7
    pauses = ((time > 0.3) & (time < 2.7)) | ((time > 3.1) & (time < 5.7))
    sound = sound * syllables * pauses
    return np.asarray(0.5 * sound / np.abs(sound).max(), np.float32)


def write_clip(path: Path) -> None:
    """Write the clip to `path` and its subtitle beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = speak()
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for index in range(int(SECONDS * FPS)):
            now = index / FPS
            level = float(np.sin(2 * np.pi * 2.5 * now) ** 2) * (0.3 < now < 2.7 or 3.1 < now < 5.7)
            still = draw_face(round(level * 5) / 5, float(index % 70 < 3))
            picture = np.roll(still, round(6 * float(np.sin(1.3 * now))), axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    path.with_suffix(".srt").write_text(
        f"1\n00:00:00,300 --> 00:00:02,700\n{WORDS[0]}\n\n2\n00:00:03,100 --> 00:00:05,700\n{WORDS[1]}\n"
    )


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "demo.mp4")
    if not target.exists() or not target.with_suffix(".srt").exists():
        write_clip(target)
        print(f"drew {target}", file=sys.stderr)
