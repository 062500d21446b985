"""A robot's side of the zenoh bridge: frames, sound and words go in, states come back.

In one terminal `emer-edge bridge zenoh --hop 1`, in another `python examples/bridges/zenoh_robot.py`. The
robot needs zenoh and nothing of emer-edge; payloads and keys are described in docs/bridges.md.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import zenoh

ENDPOINT = "tcp/127.0.0.1:7447"
SECONDS, STEP, RATE = 6.0, 0.1, 16_000
SAID = {1.0: "I am so happy to see you!", 3.0: "What a wonderful day.", 5.0: "Thank you so much!"}


def connect(endpoint: str) -> zenoh.Session:
    """A session that talks to this endpoint alone."""
    config = zenoh.Config()
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("listen/endpoints", "[]")
    config.insert_json5("connect/endpoints", json.dumps([endpoint]))
    return zenoh.open(config)


def show(sample: zenoh.Sample) -> None:
    """Print an event as one line."""
    print(sample.payload.to_string(), flush=True)


def main(endpoint: str = ENDPOINT) -> None:
    """Send six seconds of a grey picture, a tone and three sentences in real time."""
    with connect(endpoint) as session:
        session.declare_subscriber("emer-edge/event/*", show)
        # Of frames one may be lost where the way is narrow; sound and words wait for room.
        frames = session.declare_publisher("emer-edge/in/frame")
        sound, words = (
            session.declare_publisher(
                f"emer-edge/in/{name}", congestion_control=zenoh.CongestionControl.BLOCK
            )
            for name in ("audio", "text")
        )
        while not all(one.matching_status.matching for one in (frames, sound, words)):
            time.sleep(0.05)  # until the bridge listens
        begin = time.monotonic()
        for count in range(round(SECONDS / STEP) + 1):
            pts = round(count * STEP, 6)
            time.sleep(max(0.0, begin + pts - time.monotonic()))
            frame = np.full((120, 160, 3), 40 + count, np.uint8)
            facts = {"format": "rgb8", "width": 160, "height": 120, "pts_seconds": pts}
            frames.put(frame.tobytes(), attachment=json.dumps(facts))
            times = pts + np.arange(int(RATE * STEP)) / RATE
            tone = (3000 * np.sin(2 * np.pi * 220 * times)).astype("<i2")
            facts = {"sample_rate": RATE, "pts_seconds": pts}
            sound.put(tone.tobytes(), attachment=json.dumps(facts))
            if pts in SAID:
                facts = {"start_seconds": pts, "end_seconds": pts + 0.9}
                words.put(SAID[pts].encode(), attachment=json.dumps(facts))
        time.sleep(2.0)  # the last states are on their way
        for reply in session.get("emer-edge/state"):
            print(reply.ok.payload.to_string(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
