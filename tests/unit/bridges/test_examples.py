"""The examples as they stand, with a real model; the one of dora runs in test_dora."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from emer_edge.bridges.record import read_timeline
from emer_edge.bridges.wire import decode_event
from emer_edge.live.events import State
from tests.support.sample_timeline import write_record

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "bridges"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def example(name: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, check=False, env=ENVIRONMENT,
    )  # fmt: skip


def test_zenoh_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("zenoh")
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "emer_edge", "bridge", "zenoh", "--hop", "1", "--window", "4"]
    record = tmp_path / "record.jsonl"
    command += ["--listen", endpoint, "--record", str(record)]
    bridge = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert bridge.stderr is not None
    try:
        assert "Listening: zenoh, below emer-edge" in bridge.stderr.readline()
        done = example("zenoh_robot.py", endpoint)
        bridge.send_signal(signal.SIGTERM)
        _, said = bridge.communicate(timeout=60)
    finally:
        bridge.kill()
        bridge.wait()
    assert done.returncode == 0, done.stderr
    told = [decode_event(line.encode()) for line in done.stdout.splitlines()]
    states = [event for event in told if isinstance(event, State)]
    assert len(states) >= 3
    assert "happy" in {emotion.label for one in states for emotion in one.emotions}
    assert "subtitle" in states[-1].quality.modalities
    # Sound is heard; whether a drawn voice says anything is the pack's to tell.
    assert states[-1].quality.audio_seconds > 3
    assert bridge.returncode == 0
    counts = {
        name: int(count) for name, count in (part.split() for part in said.split("Taken: ")[1].split(","))
    }
    assert (counts["audio"], counts["text"]) == (61, 3)
    assert counts["frame"] >= 1
    assert "refused" not in counts
    timeline = read_timeline(record)
    assert all(one in timeline.states for one in states)
    assert not timeline.truncated
    assert timeline.session["hop_seconds"] == 1.0


def test_dds_from_a_program_of_ones_own() -> None:
    dds = pytest.importorskip("cyclonedds")
    assert dds
    from cyclonedds.domain import Domain, DomainParticipant
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    from emer_edge.bridges.dds import LOCAL
    from emer_edge.bridges.dds_types import struct
    from emer_edge.bridges.ros_types import dds_topic

    domain = Domain(93, LOCAL)
    participant = DomainParticipant(93)

    def reader(topic: str, name: str) -> Any:
        return DataReader(participant, Topic(participant, dds_topic(topic), struct(name)))

    newest = reader("/humans/faces/f1/expression", "hri_msgs/Expression")
    tracked = reader("/humans/faces/tracked", "hri_msgs/IdsList")
    done = example("dds_robot.py", 93)
    assert done.returncode == 0, done.stderr
    assert "for 1 listeners" in done.stdout
    # Without a history policy a reader keeps the last one.
    (expression,) = newest.take(100)
    assert expression.expression in ("happy", "neutral", "excited", "surprised")
    assert 0.0 < expression.confidence <= 1.0
    assert -1.0 <= expression.valence <= 1.0
    assert expression.header.stamp.sec > 1_700_000_000
    assert expression.header.frame_id == "face_f1"
    assert [message.ids for message in tracked.take(100)] == [["f1"]]
    del domain


@pytest.mark.skipif(find_spec("rclpy") is not None, reason="ROS 2 is installed here")
def test_ros2_without_ros_says_what_to_do() -> None:
    done = example("ros2_node.py")
    assert done.returncode == 4
    assert "setup.bash" in done.stderr


def test_a_timeline_becomes_a_bag(tmp_path: Path) -> None:
    pytest.importorskip("rosbags")
    from rosbags.rosbag2 import Reader

    record = write_record(tmp_path / "record.jsonl")
    done = example("timeline_to_bag.py", record, tmp_path / "bag")
    assert done.stdout == "10 messages\n", done.stderr
    with Reader(tmp_path / "bag") as reader:
        topics = {connection.topic: connection.msgcount for connection in reader.connections}
        times = [time for _, time, _ in reader.messages()]
    assert topics == {
        "/humans/faces/f1/expression": 3,
        "/humans/faces/f1/expression_reasoning": 1,
        "/humans/faces/f1/expression_events": 6,
    }
    assert times == sorted(times)
    assert times[-1] == 6_000_000_000


def test_dora_and_ros2_from_the_command_line_where_they_can_not_be_had() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DORA_NODE_CONFIG"}
    for verb, told in (("ros2", "rclpy"), ("dora", "dora")):
        if verb == "ros2" and find_spec("rclpy") is not None:
            continue
        done = subprocess.run(
            [sys.executable, "-m", "emer_edge", "bridge", verb],
            capture_output=True, text=True, timeout=120, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 4
        assert told in done.stderr
        assert done.stdout == ""
