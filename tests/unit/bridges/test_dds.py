"""The bridge and a second process that knows nothing of it, over DDS on the loopback interface."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emer_edge.bridges.dds import DdsBridge, _taken
from emer_edge.bridges.ros_inputs import RosInputs, RosOptions
from emer_edge.bridges.ros_types import Topics
from emer_edge.bridges.wire import decode_event
from emer_edge.errors import DeviceError
from emer_edge.live.events import Reasoned
from tests.support.recorder import Recorder
from tests.support.sample_timeline import EVENTS, state

pytest.importorskip("cyclonedds")
PEER = Path(__file__).parents[2] / "support" / "dds_peer.py"
DOMAIN = 91


def test_two_processes_exchange_what_ros_would() -> None:
    options = RosOptions(Topics("f1"), domain_id=DOMAIN, announce_face=True)
    reasoned = next(event for event in EVENTS if isinstance(event, Reasoned))
    told = state(7, "contemptuous", 0.625, end_pts_seconds=1_700_000_001.25)
    recorder = Recorder()
    with DdsBridge(options) as bridge:
        inputs = bridge.listen(recorder)
        peer = subprocess.Popen(
            [sys.executable, str(PEER), str(DOMAIN), "3"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert recorder.wait(frames=1, sound=1, words=1), inputs
            deadline = time.monotonic() + 60
            while peer.poll() is None and time.monotonic() < deadline:
                bridge.send(reasoned)
                bridge.send(told)
                time.sleep(0.05)
            out, _ = peer.communicate(timeout=60)
        finally:
            peer.kill()
            peer.wait()
    got = json.loads(out)
    assert got["expressions"][0] == [
        1_700_000_001, 250_000_000, "face_f1", "disgusted", 0.5, -0.25, 0.625,
    ]  # fmt: skip
    assert reasoned.text in got["texts"]
    assert {decode_event(text.encode()).kind for text in got["events"]} == {"state", "reasoning"}
    pixels, seconds = recorder.frames[0]
    assert seconds == pytest.approx(1_700_000_000.5)
    np.testing.assert_array_equal(pixels, np.full((2, 3, 3), (30, 20, 10), np.uint8))
    pcm, rate, _ = recorder.sound[0]
    np.testing.assert_array_equal(pcm, np.array([[1, -1]], np.int16))
    assert rate == 16_000
    assert recorder.words[0][0] == "I am glad"
    assert recorder.words[0][3] is True
    assert "refused" not in inputs.counts


def test_a_domain_that_another_part_of_the_process_configured() -> None:
    options = RosOptions(Topics("f1"), domain_id=DOMAIN + 1)
    with DdsBridge(options):
        with pytest.raises(DeviceError, match="in use"):
            DdsBridge(options)
    with DdsBridge(options):
        pass


def test_what_can_not_be_decoded_is_counted() -> None:
    class Broken:
        def take(self, _count: int) -> list[object]:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    inputs = RosInputs(Recorder(), RosOptions(Topics("f1")))
    assert _taken(Broken(), inputs) == []
    assert inputs.counts == {"refused": 1}
    assert "UnicodeDecodeError" in str(inputs.last_error)


LOOKER = """
import sys, time
from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
from cyclonedds.domain import Domain, DomainParticipant
domain = Domain(int(sys.argv[1]), sys.argv[2])
participant = DomainParticipant(int(sys.argv[1]))
reader, end = BuiltinDataReader(participant, BuiltinTopicDcpsPublication), time.monotonic() + 60
while time.monotonic() < end:
    for found in reader.take(100):
        if found.sample_info.valid_data and found.topic_name.endswith("/expression"):
            sys.exit(print(found.topic_name, found.type_name))
    time.sleep(0.05)
"""
LOOPBACK = "<General><Interfaces><NetworkInterface address='127.0.0.1'/></Interfaces></General>"
PEERS = (
    "<Discovery><ParticipantIndex>auto</ParticipantIndex>"
    "<Peers><Peer address='localhost'/></Peers></Discovery>"
)


@pytest.mark.parametrize("settings", [LOOPBACK, LOOPBACK + PEERS], ids=["multicast", "peers"])
def test_whoever_stays_on_loopback_finds_the_bridge(settings: str) -> None:
    domain = DOMAIN + (10 if PEERS in settings else 11)
    config = f"<CycloneDDS><Domain>{settings}</Domain></CycloneDDS>"
    with DdsBridge(RosOptions(Topics("f1"), domain_id=domain)):
        done = subprocess.run(
            [sys.executable, "-c", LOOKER, str(domain), config],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
    assert done.stdout == "rt/humans/faces/f1/expression hri_msgs::msg::dds_::Expression_\n", done.stderr
