"""What is put into ROS messages, read back by rosbags, and what is read out of them."""

from __future__ import annotations

import doctest
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emer_edge.bridges import expressions, port, ros_types
from emer_edge.bridges.expressions import EXPRESSIONS, LABELS, to_expression
from emer_edge.bridges.ros_inputs import MAX_DRIFT_SECONDS, RosInputs, RosOptions
from emer_edge.bridges.ros_types import MESSAGES, Topics, dds_type, definition
from emer_edge.bridges.ros_values import audio_pcm, event_messages, header, image_pixels, stamp_seconds
from emer_edge.bridges.wire import decode_event
from emer_edge.errors import InputError, LimitError
from emer_edge.limits import Limits
from emer_edge.live.events import Dropped, Reasoned, Token
from emer_edge.packs.store import find_pack
from emer_edge.results import Emotion
from tests.support.recorder import Recorder
from tests.support.sample_timeline import EVENTS, state

TOPICS = Topics("f1", "v1")


@pytest.fixture(scope="module")
def store() -> Any:
    """rosbags' types of ROS 2 Humble, with ours registered beside them."""
    typesys = pytest.importorskip("rosbags.typesys")
    found = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    for name in MESSAGES:
        full = name.replace("/", "/msg/")
        parsed = typesys.get_types_from_msg(definition(name), full)
        if full in found.fielddefs:
            assert found.fielddefs[full][1] == parsed[full][1], name  # rosbags knows it: we say the same
        else:
            found.register(parsed)
    return found


class Bags:
    """Makes messages as rosbags' types."""

    def __init__(self, store: Any) -> None:
        self.types = store.types

    def make(self, name: str, **fields: Any) -> Any:
        return self.types[name.replace("/", "/msg/")](**fields)


def test_examples_of_the_docstrings_run() -> None:
    for module, count in ((expressions, 1), (ros_types, 3), (port, 3)):
        results = doctest.testmod(module)
        assert (results.attempted, results.failed) == (count, 0), module


def test_messages_of_ros_itself_are_those_that_rosbags_knows(store: Any) -> None:
    known = [name for name in MESSAGES if name.split("/")[0] not in ("hri_msgs", "audio_common_msgs")]
    assert len(known) == 5
    assert all(name.replace("/", "/msg/") in store.fielddefs for name in MESSAGES)


def test_the_constants_are_the_25_of_the_message(store: Any) -> None:
    constants = store.fielddefs["hri_msgs/msg/Expression"][0]
    assert [(name, kind, value) for name, kind, value in constants] == [
        (name.upper(), "string", name) for name in EXPRESSIONS
    ]
    assert len(EXPRESSIONS) == 25
    assert EXPRESSIONS[:7] == ("neutral", "angry", "sad", "happy", "surprised", "disgusted", "scared")


def test_every_label_of_the_built_in_pack_has_its_constant() -> None:
    manifest = json.loads((find_pack("emer-nano") / "manifest.json").read_text())
    labels = manifest["labels"]["candidates"]
    assert {label: LABELS.get(label) for label in labels} == {
        "neutral": "neutral",
        "calm": "neutral",
        "happy": "happy",
        "sad": "sad",
        "angry": "angry",
        "fearful": "scared",
        "disgusted": "disgusted",
        "surprised": "surprised",
        "contemptuous": "disgusted",
        "unclear": None,
    }


def test_no_word_stands_under_two_constants() -> None:
    words = [word for name, words in expressions._WORDS.items() for word in (name, *words.split())]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("labels", "scores", "wanted"),
    [
        (["happy"], {"happy": 0.5, "glad": 0.25, "sad": 0.25}, ("happy", 0.75)),
        (["unclear"], {"unclear": 0.6, "sad": 0.3, "happy": 0.1}, ("sad", 0.3)),
        (["mysterious", "Angry "], {"mysterious": 0.6, "angry": 0.4}, ("angry", 0.4)),
        ([], {"calm": 0.3, "neutral": 0.3, "happy": 0.4}, ("happy", 0.4)),
        (["tired"], {}, ("tired", 0.5)),
        (["unclear"], {"unclear": 1.0}, None),
    ],
)
def test_a_state_becomes_the_constant_of_its_best_word(labels: Any, scores: Any, wanted: Any) -> None:
    told = state(0, emotions=tuple(Emotion(label, 0.5) for label in labels), scores=scores)
    found = to_expression(told)
    assert (found and (found.expression, pytest.approx(found.confidence))) == wanted
    if found:
        assert (found.valence, found.arousal) == (0.5, -0.25)


def test_messages_survive_cdr(store: Any) -> None:
    told = state(3, "fearful", 0.625, end_pts_seconds=1_700_000_000.000125)
    for topic, name, message in event_messages(told, TOPICS, Bags(store)):
        full = name.replace("/", "/msg/")
        back = store.deserialize_cdr(store.serialize_cdr(message, full), full)
        assert back == message
        if topic == "/humans/faces/f1/expression":
            stamp = back.header.stamp
            assert (stamp.sec, stamp.nanosec, back.header.frame_id) == (1_700_000_000, 125_000, "face_f1")
            assert back.expression == back.SCARED
            assert (back.valence, back.arousal, back.confidence) == (0.5, -0.25, 0.625)
        else:
            assert decode_event(back.data.encode()) == told


def test_what_each_event_becomes(store: Any) -> None:
    def told(event: Any) -> list[str]:
        return [topic.rsplit("/", 1)[1] for topic, _, _ in event_messages(event, TOPICS, Bags(store))]

    assert told(state(0)) == ["expression", "expression_events"]
    assert told(state(0, emotions=(), scores={"unclear": 1.0})) == ["expression_events"]
    assert told(next(e for e in EVENTS if isinstance(e, Reasoned))) == [
        "expression_reasoning", "expression_events",
    ]  # fmt: skip
    assert told(Dropped(1, "late", "frames")) == ["expression_events"]
    assert told(Token("a", 0)) == []


@pytest.mark.parametrize("name", MESSAGES)
def test_cyclone_and_rosbags_write_the_same_bytes(store: Any, name: str) -> None:
    pytest.importorskip("cyclonedds")
    from emer_edge.bridges.dds_types import CycloneMessages, struct

    def fill(ros: Any, kind: str) -> Any:
        values: dict[str, Any] = {}
        for inner, field in MESSAGES[kind]:
            values[field] = {
                "int32": -5, "uint32": 77, "uint8": 200, "float32": 0.5, "float64": -0.125,
                "string": "grüße", "string[]": ["a", "", "ccc"], "uint8[]": np.arange(7, dtype=np.uint8),
            }.get(inner)  # fmt: skip
            if values[field] is None:
                values[field] = fill(ros, inner)
            elif inner == "uint8[]" and isinstance(ros, CycloneMessages):
                values[field] = values[field].tobytes()
        return ros.make(kind, **values)

    full = name.replace("/", "/msg/")
    bags = bytes(store.serialize_cdr(fill(Bags(store), name), full))
    cyclone = fill(CycloneMessages(), name).serialize(use_version_2=False)
    assert struct(name).__idl_typename__ == dds_type(name)
    # Cyclone pads the end to four bytes and says so in the header's last byte; ROS 2 takes both.
    assert cyclone[4 : len(bags)] == bags[4:]
    back = store.deserialize_cdr(cyclone, full)
    assert bytes(store.serialize_cdr(back, full)) == bags
    assert struct(name).deserialize(bags) is not None


def test_a_bag_holds_the_timeline(store: Any, tmp_path: Path) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2")
    with rosbag2.Writer(tmp_path / "bag", version=9) as writer:
        connections = {}
        for index, event in enumerate(EVENTS):
            for topic, name, message in event_messages(event, TOPICS, Bags(store)):
                full = name.replace("/", "/msg/")
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, full, typestore=store)
                writer.write(connections[topic], 1000 * index, store.serialize_cdr(message, full))
    with rosbag2.Reader(tmp_path / "bag") as reader:
        found = [
            (connection.topic, store.deserialize_cdr(data, connection.msgtype))
            for connection, _, data in reader.messages()
        ]
    shown = [message.expression for topic, message in found if topic == TOPICS.expression]
    assert shown == ["happy", "sad", "neutral"]  # the third has a label that no constant fits
    assert [message.data for topic, message in found if topic == TOPICS.reasoning] == [
        "She looked down. Her voice was low & slow, and the words <were> few."
    ]
    told = [decode_event(message.data.encode()) for topic, message in found if topic == TOPICS.events]
    assert told == [event for event in EVENTS if not isinstance(event, Token)]


@pytest.mark.parametrize("name", ["", "1a", "a b", "ä", "a__b", "a/b", "a_", "a\n"])
def test_identifiers_that_no_topic_may_hold(name: str) -> None:
    with pytest.raises(InputError):
        Topics(name)
    if name:
        with pytest.raises(InputError):
            Topics("f1", name)


def image(encoding: str, pixels: Any, step: int = 0, **more: Any) -> Any:
    height, width = pixels.shape[:2]
    values = {
        "header": None, "height": height, "width": width, "encoding": encoding, "is_bigendian": 0,
        "step": step or pixels[0].size, "data": pixels.tobytes(),
    }  # fmt: skip
    return SimpleNamespace(**(values | more))


def test_pixels_of_every_encoding() -> None:
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    alpha = np.full((2, 3, 1), 255, np.uint8)
    assert (image_pixels(image("rgb8", rgb), Limits()) == rgb).all()
    assert (image_pixels(image("bgr8", rgb[:, :, ::-1]), Limits()) == rgb).all()
    assert (image_pixels(image("8UC3", rgb[:, :, ::-1]), Limits()) == rgb).all()
    assert (image_pixels(image("rgba8", np.concatenate([rgb, alpha], 2)), Limits()) == rgb).all()
    assert (image_pixels(image("bgra8", np.concatenate([rgb[:, :, ::-1], alpha], 2)), Limits()) == rgb).all()
    grey = image_pixels(image("mono8", rgb[:, :, 0]), Limits())
    assert (grey == rgb[:, :, :1]).all()
    assert grey.shape == (2, 3, 3)
    assert grey.flags.c_contiguous


def test_a_compressed_image(store: Any) -> None:
    pictures = pytest.importorskip("PIL.Image")
    out, recorder = io.BytesIO(), Recorder()
    pictures.fromarray(np.full((16, 24, 3), (200, 30, 30), np.uint8)).save(out, "JPEG", quality=95)
    ros = Bags(store)
    inputs = RosInputs(recorder, RosOptions(TOPICS, compressed=True))
    assert inputs.options.inputs[0][1] == "sensor_msgs/CompressedImage"
    for data in (out.getvalue(), b"no jpeg"):
        message = ros.make(
            "sensor_msgs/CompressedImage",
            header=header(ros, 3.5, "camera"),
            format="jpeg",
            data=np.frombuffer(data, np.uint8),
        )
        inputs.take("sensor_msgs/CompressedImage", message)
    ((pixels, seconds),) = recorder.frames
    assert (pixels.shape, seconds) == ((16, 24, 3), 3.5)
    assert np.abs(pixels.astype(int) - (200, 30, 30)).max() < 12
    assert inputs.counts == {"sensor_msgs/CompressedImage": 1, "refused": 1}


def test_rows_may_be_padded() -> None:
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 9)
    padded = np.pad(rgb, ((0, 0), (0, 3)))
    for data in (padded.tobytes(), padded.tobytes()[:-3]):
        found = image_pixels(image("rgb8", rgb.reshape(2, 3, 3), step=12, data=data), Limits())
        assert (found.reshape(2, 9) == rgb).all()


@pytest.mark.parametrize(
    "change",
    [
        {"encoding": "yuv422"},
        {"data": b"x" * 17},
        {"step": 8},
        {"height": 0},
        {"height": 2**31},
        {"width": 2**20, "height": 2**20, "step": 3 * 2**20},
        {"step": 2**40},
    ],
)
def test_images_that_make_no_sense(change: dict[str, Any]) -> None:
    values = {"encoding": "rgb8", "pixels": np.zeros((2, 3, 3), np.uint8), **change}
    with pytest.raises((InputError, LimitError)):
        image_pixels(image(**values), Limits())


def test_sound_is_interleaved_16_bit() -> None:
    data = np.array([1, -1, 2, -2], "<i2").tobytes()
    np.testing.assert_array_equal(audio_pcm(SimpleNamespace(data=data)), [[1, -1, 2, -2]])
    np.testing.assert_array_equal(
        audio_pcm(SimpleNamespace(data=data + b"\x01"), channels=2), [[1, 2], [-1, -2]]
    )


def test_times(store: Any) -> None:
    ros = Bags(store)
    message = SimpleNamespace(header=header(ros, 1_700_000_000.25, "f"))
    assert stamp_seconds(message) == 1_700_000_000.25
    assert stamp_seconds(SimpleNamespace(header=header(ros, 0.0, ""))) is None
    assert stamp_seconds(SimpleNamespace()) is None
    assert header(ros, -5.0, "").stamp.sec == 0


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_sound_is_laid_end_to_end_until_it_drifts() -> None:
    clock, recorder = Clock(), Recorder()
    inputs = RosInputs(recorder, RosOptions(TOPICS), now=clock)
    chunk = SimpleNamespace(data=bytes(2 * 1600))  # 0.1 s
    for delay in (0.0, 0.13, 0.07, 0.1 + MAX_DRIFT_SECONDS + 0.1):
        clock.seconds += delay
        assert inputs.take("audio_common_msgs/AudioData", chunk)
    starts = [start for _, _, start in recorder.sound]
    assert starts == pytest.approx([99.9, 100.0, 100.1, 100.55])
    assert inputs.counts == {"audio_common_msgs/AudioData": 4}


def test_words_begin_with_the_first_of_them(store: Any) -> None:
    ros, recorder = Bags(store), Recorder()
    inputs = RosInputs(recorder, RosOptions(TOPICS))
    for seconds, incremental, final in (
        (1, "I", ""),
        (2, "I am", ""),
        (3, "", "I am glad"),
        (5, "", "Yes"),
        (6, "", ""),
    ):
        speech = ros.make(
            "hri_msgs/LiveSpeech",
            header=header(ros, seconds, ""),
            incremental=incremental,
            final=final,
            confidence=1.0,
            locale="en_GB",
        )
        assert inputs.take("hri_msgs/LiveSpeech", speech)
    assert recorder.words == [
        ("I", 1.0, 1.0, False),
        ("I am", 1.0, 2.0, False),
        ("I am glad", 1.0, 3.0, True),
        ("Yes", 5.0, 5.0, True),
    ]


def test_what_can_not_be_read_is_counted_and_not_raised() -> None:
    recorder = Recorder()
    inputs = RosInputs(recorder, RosOptions(TOPICS))
    assert not inputs.take("sensor_msgs/Image", image("yuv422", np.zeros((2, 3, 3), np.uint8)))
    assert inputs.counts == {"refused": 1}
    assert "yuv422" in str(inputs.last_error)
    assert recorder.frames == []


@pytest.mark.parametrize("change", [{"sample_rate": 0}, {"channels": 65}, {"domain_id": 233}])
def test_options_that_make_no_sense(change: dict[str, int]) -> None:
    with pytest.raises(InputError):
        RosOptions(TOPICS, **change)


def test_topics_are_those_of_rep_155() -> None:
    options = RosOptions(Topics("f1"))
    assert options.inputs == (
        ("/humans/faces/f1/cropped", "sensor_msgs/Image"),
        ("/humans/voices/f1/audio", "audio_common_msgs/AudioData"),
        ("/humans/voices/f1/speech", "hri_msgs/LiveSpeech"),
    )
    assert options.outputs[0] == ("/humans/faces/f1/expression", "hri_msgs/Expression")
    named = RosOptions(TOPICS, image_topic="/camera/image")
    assert [topic for topic, _ in named.inputs] == [
        "/camera/image",
        "/humans/voices/v1/audio",
        "/humans/voices/v1/speech",
    ]
