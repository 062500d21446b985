"""How the rclpy node is wired, over a stand-in for rclpy; and what is said where there is none."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from emer_edge.bridges.ros2 import Ros2Bridge
from emer_edge.bridges.ros_inputs import RosOptions
from emer_edge.bridges.ros_types import Topics
from emer_edge.errors import DeviceError
from tests.support import fake_rclpy
from tests.support.recorder import Recorder
from tests.support.sample_timeline import EVENTS

OPTIONS = RosOptions(Topics("f1"), announce_face=True, domain_id=7)


@pytest.mark.skipif(find_spec("rclpy") is not None, reason="ROS 2 is installed here")
def test_without_ros_the_error_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match="DDS bridge"):
        Ros2Bridge(OPTIONS)


def test_without_a_package_of_messages_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_rclpy.install(monkeypatch, without=("hri_msgs",))
    with pytest.raises(DeviceError, match="ros-\\$ROS_DISTRO-hri-msgs"):
        Ros2Bridge(OPTIONS)


def test_sound_that_is_not_listened_to_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = fake_rclpy.install(monkeypatch, without=("audio_common_msgs",))
    options = RosOptions(Topics("f1"), listen_to=("image", "speech"))
    with Ros2Bridge(options) as bridge:
        bridge.listen(Recorder())
        assert list(graph.subscriptions) == ["/humans/faces/f1/cropped", "/humans/voices/f1/speech"]


def test_the_node_publishes_and_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, recorder = fake_rclpy.install(monkeypatch), Recorder()
    with Ros2Bridge(OPTIONS) as bridge:
        inputs = bridge.listen(recorder)
        for event in EVENTS:
            bridge.send(event)
        types = {topic: kind for topic, (kind, _, _) in graph.subscriptions.items()}
        pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        stamp = SimpleNamespace(sec=5, nanosec=500_000_000)
        image = types["/humans/faces/f1/cropped"](
            header=SimpleNamespace(stamp=stamp), height=2, width=2, encoding="rgb8", step=6,
            data=pixels.tobytes(),
        )  # fmt: skip
        graph.deliver("/humans/faces/f1/cropped", image)
        sound = types["/humans/voices/f1/audio"](data=bytes(32_000))
        graph.deliver("/humans/voices/f1/audio", sound)
    assert graph.shut_down
    assert graph.domain_id == 7
    assert (recorder.frames[0][0] == pixels).all()
    assert recorder.frames[0][1] == 5.5
    assert recorder.sound[0][2] == pytest.approx(122.0)  # one second before the node's clock
    assert inputs.counts == {"sensor_msgs/Image": 1, "audio_common_msgs/AudioData": 1}
    topics = [topic for topic, _ in graph.published]
    assert topics.count("/humans/faces/f1/expression") == 3
    assert topics.count("/humans/faces/f1/expression_reasoning") == 1
    assert topics.count("/humans/faces/f1/expression_events") == 6
    assert topics.count("/humans/faces/tracked") == 3
    first = next(message for topic, message in graph.published if topic.endswith("/expression"))
    assert (first.expression, first.header.stamp.sec, first.header.frame_id) == ("happy", 2, "face_f1")
    assert graph.subscriptions["/humans/faces/f1/cropped"][2]["reliability"] == "best effort"
    assert graph.profiles["/humans/faces/f1/expression"] == {
        "reliability": "reliable", "history": "keep last", "depth": 10,
    }  # fmt: skip
