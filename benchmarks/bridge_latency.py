"""How long an event takes from a session to a listener, and a frame the other way, over zenoh and over DDS.

The far side is a second process on this machine, over the loopback interface. Times are one way, by the wall
clock that both processes share. Usage: python -m benchmarks.bridge_latency [--count N] [--rate HZ]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import threading
import time
from typing import Any

import numpy as np

from emer_edge.live.events import Quality, State
from emer_edge.results import Emotion

SIZES = {"face": (128, 128), "VGA": (640, 480)}
"""128x128 is the size of the faces of REP-155."""
LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contemptuous")


def make_state(index: int, now: float) -> State:
    scores = {label: 1 / len(LABELS) for label in LABELS}
    quality = Quality(("vision", "audio", "subtitle"), 8, 8, 8.0, True)
    return State(
        now - 8, now, (Emotion("happy", 0.5),), scores, 0.5, 0.25, quality, 0.1, index, "Some words."
    )


class Inlet:
    """Takes frames and remembers how old they were; the first one says that the far side is there."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.begun = threading.Event()

    def push_frame(self, array: Any, pts_seconds: float) -> None:
        assert array.dtype == np.uint8
        self.ages.append(time.time() - pts_seconds)
        self.begun.set()

    def push_audio(self, pcm: Any, sample_rate: int, pts_seconds: float | None) -> None: ...

    def push_text(self, text: str, start: float, end: float, final: bool) -> None: ...

    def ask(self, question: str = "explain") -> None: ...


def zenoh_far(endpoint: str, size: tuple[int, int], count: int, rate: float, ages: Any) -> None:
    import zenoh

    config = zenoh.Config()
    for key, value in (
        ("scouting/multicast/enabled", False),
        ("listen/endpoints", []),
        ("connect/endpoints", [endpoint]),
    ):
        config.insert_json5(key, json.dumps(value))
    (width, height), pixels = size, bytes(size[0] * size[1] * 3)
    with zenoh.open(config) as session:
        session.declare_subscriber(
            "emer-edge/event/state",
            lambda sample: ages.put(time.time() - json.loads(sample.payload.to_bytes())["end_pts_seconds"]),
        )
        for _ in range(count):
            facts = {"format": "rgb8", "width": width, "height": height, "pts_seconds": time.time()}
            session.put("emer-edge/in/frame", pixels, attachment=json.dumps(facts))
            time.sleep(1 / rate)
        time.sleep(1.0)


def dds_far(domain_id: int, size: tuple[int, int], count: int, rate: float, ages: Any) -> None:
    from cyclonedds.core import Policy, Qos
    from cyclonedds.domain import Domain, DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
    from cyclonedds.util import duration

    from emer_edge.bridges.dds import LOCAL
    from emer_edge.bridges.dds_types import CycloneMessages, struct
    from emer_edge.bridges.ros_values import header

    domain = Domain(domain_id, LOCAL)
    participant, ros = DomainParticipant(domain_id), CycloneMessages()
    qos = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))

    def topic(name: str, kind: str) -> Any:
        return Topic(participant, name, struct(kind))

    images = DataWriter(participant, topic("rt/humans/faces/f1/cropped", "sensor_msgs/Image"), qos=qos)
    faces = DataReader(participant, topic("rt/humans/faces/f1/expression", "hri_msgs/Expression"), qos=qos)

    end = threading.Event()

    def listen() -> None:
        while not end.is_set():
            for message in faces.take_iter(timeout=duration(milliseconds=200)):
                ages.put(time.time() - message.header.stamp.sec - 1e-9 * message.header.stamp.nanosec)

    listener = threading.Thread(target=listen)
    listener.start()
    (width, height), pixels = size, bytes(size[0] * size[1] * 3)
    fields = {"height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width}
    for _ in range(count):
        stamped = header(ros, time.time(), "camera")
        images.write(ros.make("sensor_msgs/Image", header=stamped, data=pixels, **fields))
        time.sleep(1 / rate)
    time.sleep(1.0)
    end.set()
    listener.join()
    del domain


def measure(name: str, bridge: Any, far: Any, arguments: tuple[Any, ...], count: int, rate: float) -> None:
    context, inlet = multiprocessing.get_context("spawn"), Inlet()
    ages = context.Queue()
    with bridge:
        bridge.listen(inlet)
        process = context.Process(target=far, args=(*arguments, count, rate, ages))
        process.start()
        inlet.begun.wait(30)
        time.sleep(0.5)
        sent = 0
        for sent in range(1, count + 1):
            bridge.send(make_state(sent, time.time()))
            time.sleep(1 / rate)
        time.sleep(0.5)
        events = [ages.get() for _ in range(ages.qsize())]
        process.join(60)
    for what, found, total in (("event", events, sent), ("frame", inlet.ages, count)):
        p50, p95, p99 = np.percentile(1000 * np.array(found[1:]), (50, 95, 99))
        shares = f"p50 {p50:7.2f}  p95 {p95:7.2f}  p99 {p99:7.2f} ms"
        print(f"{name:<10} {what}  {shares}  {len(found)}/{total} arrived")


def main() -> None:
    from emer_edge.bridges.dds import DdsBridge
    from emer_edge.bridges.ros_inputs import RosOptions
    from emer_edge.bridges.ros_types import Topics
    from emer_edge.bridges.zenoh import ZenohBridge, ZenohOptions

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rate", type=float, default=30.0)
    chosen = parser.parse_args()
    for number, (name, size) in enumerate(SIZES.items()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
        bridge = ZenohBridge(ZenohOptions(listen=(endpoint,)))
        measure(f"zenoh {name}", bridge, zenoh_far, (endpoint, size), chosen.count, chosen.rate)
        dds = DdsBridge(RosOptions(Topics("f1"), domain_id=94 + number))
        measure(f"DDS {name}", dds, dds_far, (94 + number, size), chosen.count, chosen.rate)


if __name__ == "__main__":
    main()
