"""Draws talking faces and hums voices from a seed: material for benchmarks that holds no person.

Knows ellipses and sines. Does not know what a pack makes of them; the faces are plain enough for a detector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Colour = tuple[float, float, float]

_MOUTHS = 4
_LINES = (
    "I can't believe it, we won!",
    "Please leave me alone now.",
    "I have no idea what you mean.",
    "That is the saddest thing I have heard in years.",
    "How dare you say that to me?",
    "It is fine, really, don't worry about it.",
    "Watch out, there is something behind the door!",
    "This is the best day of my life!",
)


@dataclass(frozen=True, slots=True)
class Person:
    """One drawn speaker: where, how large, what colours, what voice."""

    width: int
    height: int
    x: float
    y: float
    scale: float
    skin: Colour
    hair: Colour
    shirt: Colour
    ground: Colour
    mood: float
    """-1 frowns, 1 smiles."""
    pitch_hertz: float
    words: str


def draw_lot(random: np.random.Generator, width: int, height: int) -> Person:
    """A person at random."""
    tone = random.uniform(0.55, 1.0)
    return Person(
        width=width,
        height=height,
        x=width * random.uniform(0.42, 0.58),
        y=height * random.uniform(0.48, 0.54),
        scale=height / 360 * random.uniform(0.85, 1.05),
        skin=(226 * tone, 178 * tone, 148 * tone),
        hair=(random.uniform(24, 64), random.uniform(18, 44), random.uniform(14, 36)),
        shirt=(random.uniform(40, 200), random.uniform(40, 200), random.uniform(40, 200)),
        # A cool ground: before one of the skin's own colour the detector misses a drawn face.
        ground=(random.uniform(50, 110), random.uniform(90, 150), random.uniform(110, 170)),
        mood=random.uniform(-1, 1),
        pitch_hertz=random.uniform(100, 260),
        words=str(random.choice(_LINES)),
    )


def talk(
    person: Person, random: np.random.Generator, frames_per_second: int, seconds: float
) -> Iterator[NDArray[np.uint8]]:
    """Frames (height, width, 3) uint8: the head sways, the mouth moves, the eyes blink, grain flickers."""
    grain = random.normal(0, 1.5, (2, person.height, person.width, 1)).astype(np.float32)

    def grainy(mouth: float, blink: float) -> list[NDArray[np.uint8]]:
        still = _still(person, mouth, blink)
        return [np.clip(still + noise, 0, 255).astype(np.uint8) for noise in grain]

    stills = [grainy(mouth / (_MOUTHS - 1), 0.0) for mouth in range(_MOUTHS)]
    blinking = grainy(0.3, 1.0)
    phase, sway = random.uniform(0, 6.28), random.uniform(3, 9) * person.scale
    for index in range(round(seconds * frames_per_second)):
        now = index / frames_per_second
        level = np.sin(2 * np.pi * 2.3 * now + phase) ** 2
        still = blinking if index % 71 < 3 else stills[round(level * (_MOUTHS - 1))]
        yield np.roll(still[index % 2], round(sway * float(np.sin(1.3 * now + phase))), axis=1)


def hum(person: Person, random: np.random.Generator, sample_rate: int, seconds: float) -> NDArray[np.float32]:
    """A voice (n,) float32: harmonics through three formants, in syllables with pauses."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    drift, rate = random.uniform(0.05, 0.3), random.uniform(0.6, 2.5)
    pitch = person.pitch_hertz * (1 + drift * np.sin(2 * np.pi * rate * time))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    sound = np.zeros_like(time)
    for harmonic in range(1, 16):
        frequency = harmonic * person.pitch_hertz
        gain = sum(1 / (1 + ((frequency - at) / 240) ** 2) for at in (700, 1500, 2600)) / harmonic**0.4
        sound += gain * np.sin(harmonic * phase)
    sound *= np.sin(2 * np.pi * 2.3 * time) ** 2 * (np.sin(2 * np.pi * 0.17 * time + 0.4) > -0.6)
    sound += 0.01 * random.standard_normal(len(time))
    return np.asarray(0.4 * sound / np.abs(sound).max(), np.float32)


class _Canvas:
    """A picture to paint soft ellipses on, in units of the head's size."""

    def __init__(self, person: Person) -> None:
        y, x = np.mgrid[0 : person.height, 0 : person.width].astype(np.float32)
        self.x, self.y = (x - person.x) / person.scale, (y - person.y) / person.scale
        self.picture: Picture = np.empty((person.height, person.width, 3), np.float32)
        self.picture[:] = np.array(person.ground) + (y[..., None] / person.height - 0.5) * 40

    def paint(self, cover: Picture, colour: Colour, strength: float = 1.0) -> None:
        cover = strength * np.clip(cover, 0, 1)[..., None]
        self.picture += cover * (np.array(colour, np.float32) - self.picture)

    def blob(self, x: float, y: float, half_width: float, half_height: float, soft: float = 0.06) -> Picture:
        radius = np.sqrt(((self.x - x) / half_width) ** 2 + ((self.y - y) / half_height) ** 2)
        return np.asarray((1 - radius) / soft + 0.5, np.float32)


def _still(person: Person, mouth: float, blink: float) -> Picture:
    """One picture (height, width, 3) float32."""
    canvas = _Canvas(person)
    paint, blob, skin = canvas.paint, canvas.blob, np.array(person.skin)
    dark: Colour = (skin[0] * 0.75, skin[1] * 0.62, skin[2] * 0.58)
    paint(blob(0, 190, 170, 90), person.shirt)
    paint(blob(0, 105, 42, 60), (skin[0] * 0.87, skin[1] * 0.84, skin[2] * 0.82))
    paint(blob(0, -26, 104, 128), person.hair)
    paint(blob(0, 0, 88, 116, 0.04), person.skin)
    paint(blob(40, 10, 60, 100, 0.9), dark, 0.25)
    paint(blob(0, -112, 84, 44) * (canvas.y < -78), person.hair)
    for side in (-35, 35):
        paint(blob(side, -22, 27, 18, 0.6), dark, 0.4)
        paint(blob(side, -22, 17, max(1.5, 8.5 * (1 - blink))), (244, 240, 236))
        paint(blob(side, -22, 8, max(1.2, 8 * (1 - blink))), (64, 44, 30))
        brow = -46 - 4 * person.mood + 0.006 * (canvas.x - side) ** 2
        paint((1 - np.abs(canvas.y - brow) / 3.6) * (np.abs(canvas.x - side) < 22), person.hair)
        paint(blob(side * 0.23, 28, 4, 3, 0.6), dark)
    paint(blob(5, 14, 10, 20, 0.8), dark, 0.6)
    lips = 58 - 0.0075 * person.mood * canvas.x**2
    inside = np.clip(1 - np.abs(canvas.y - lips) / (4 + 12 * mouth), 0, 1) ** 0.4
    paint(inside * (np.abs(canvas.x) < 40), (176, 70, 74))
    teeth = (np.abs(canvas.x) < 32) * (np.abs(canvas.y - lips + 1) < 1.5 + 5 * mouth)
    paint(teeth.astype(np.float32), (246, 240, 232), 0.9)
    return canvas.picture
