"""A node that stands for a robot's senses: drawn frames, a tone, and words, for six seconds."""

from __future__ import annotations

import numpy as np
import pyarrow  # before dora: it would be loaded with the first input, while the queue runs over
from dora import Node

SECONDS = 6.0
RATE = 16_000
STEP = 0.1


def main() -> None:
    """Send one frame and 0.1 s of sound at every tick, and three sentences."""
    node = Node()
    sentences = {10: "I am so happy to see you!", 30: "What a wonderful day.", 50: "Thank you so much!"}
    count = 0
    for event in node:
        if event["type"] != "INPUT":
            continue
        pts = count * STEP
        frame = np.full((120, 160, 3), 40 + count, np.uint8)
        facts = {"encoding": "rgb8", "width": 160, "height": 120, "pts_seconds": pts}
        node.send_output("image", pyarrow.array(frame.ravel()), facts)
        times = pts + np.arange(int(RATE * STEP)) / RATE
        tone = (0.1 * np.sin(2 * np.pi * 220 * times)).astype(np.float32)
        node.send_output("audio", pyarrow.array(tone), {"sample_rate": RATE, "pts_seconds": pts})
        if count in sentences:
            said = {"start_seconds": pts, "end_seconds": pts + 0.9}
            node.send_output("text", pyarrow.array([sentences[count]]), said)
        count += 1
        if pts >= SECONDS:
            break


if __name__ == "__main__":
    main()
