"""The node in dora's own stand-in for a dataflow, and in a real one: the example, with a real model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest

from emer_edge.bridges.dora import DoraBridge
from emer_edge.bridges.wire import decode_event
from emer_edge.errors import DeviceError, GenerationError
from emer_edge.live.events import LiveEvent, State
from tests.support.recorder import Recorder
from tests.support.sample_timeline import EVENTS, state

pa = pytest.importorskip("pyarrow")
testing = pytest.importorskip("dora.testing")
EXAMPLE = Path(__file__).parents[3] / "examples" / "bridges" / "dora"
NOW = datetime(2026, 11, 23, 12, 0, 0, 500_000, timezone.utc)


class Told:
    """Events of a session that ends when it is closed."""

    def __init__(self, *events: LiveEvent) -> None:
        self.queue: Queue[LiveEvent | None] = Queue()
        for event in events:
            self.queue.put(event)

    def close(self) -> None:
        self.queue.put(None)

    def __iter__(self) -> Any:
        return iter(self.queue.get, None)


def message(name: str, value: Any, **metadata: Any) -> dict[str, Any]:
    return {"type": "INPUT", "id": name, "value": value, "metadata": {"timestamp": NOW, **metadata}}


def test_inputs_and_events() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    size = {"width": 2, "height": 2}
    node = testing.MockNode(
        [
            message("image", pa.array(pixels.ravel()), encoding="rgb8", pts_seconds=1.5, **size),
            message("image", pa.array(pixels[:, :, ::-1].ravel()), encoding="bgr8", **size),
            message("audio", pa.array(np.array([0.5, -0.5], np.float32)), sample_rate=16_000),
            message("audio", pa.array(np.array([1, 2], np.int16)), sample_rate=8_000, pts_seconds=3.0),
            message("text", pa.array(["I am ", "glad"]), start_seconds=1.0, end_seconds=2.0),
            message("text", pa.array(["hm"])),
            message("ask", pa.array(["Why?"])),
            message("smell", pa.array([1])),
            message("image", pa.array([1, 2, 3]), **size),
        ]
    )
    recorder, told = Recorder(), Told(*EVENTS)
    intake = DoraBridge(node).run(recorder, told, told.close)
    assert [seconds for _, seconds in recorder.frames] == [1.5, NOW.timestamp()]
    for frame, _ in recorder.frames:
        np.testing.assert_array_equal(frame, pixels)
    assert [(rate, pts) for _, rate, pts in recorder.sound] == [(16_000, None), (8_000, 3.0)]
    np.testing.assert_array_equal(recorder.sound[0][0], [[0.5, -0.5]])
    np.testing.assert_array_equal(recorder.sound[1][0], [[1, 2]])
    now = NOW.timestamp()
    assert recorder.words == [("I am glad", 1.0, 2.0, True), ("hm", now, now, True)]
    assert recorder.questions == ["Why?"]
    assert intake.counts == {"frame": 2, "audio": 2, "text": 2, "ask": 1, "refused": 2}
    sent = {
        name: [decode_event(v[0].as_py().encode()) for v in values] for name, values in node.outputs.items()
    }
    assert sent == {
        kind: [event for event in EVENTS if event.kind == kind] for kind in {event.kind for event in EVENTS}
    }


def test_only_declared_outputs_are_sent() -> None:
    node = testing.MockNode([], node_config={"outputs": ["state"]})
    told = Told(*EVENTS)
    DoraBridge(node).run(Recorder(), told, told.close)
    assert list(node.outputs) == ["state"]


def test_inputs_that_wait_at_the_end_are_taken_and_at_a_stop_are_not() -> None:
    words = message("text", pa.array(["late"]))
    for reason, count in (("ALL_INPUTS_CLOSED", 1), ("MANUAL", 0)):
        recorder, told = Recorder(), Told()
        node = testing.MockNode([{"type": "STOP", "id": reason}, words])
        DoraBridge(node).run(recorder, told, told.close)
        assert len(recorder.words) == count


def test_events_that_can_not_be_sent_end_the_node() -> None:
    told = Told(state(0, valence=float("nan")))
    with pytest.raises(GenerationError, match="JSON"):
        DoraBridge(testing.MockNode([])).run(Recorder(), told, told.close)


def test_outside_a_dataflow_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DORA_NODE_CONFIG", raising=False)
    with pytest.raises(DeviceError, match="dora run"):
        DoraBridge()


def test_without_dora_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dora", None)
    with pytest.raises(DeviceError, match="bridges"):
        DoraBridge()


def test_the_example_runs_as_a_dataflow(tmp_path: Path) -> None:
    command = shutil.which("dora", path=str(Path(sys.executable).parent)) or shutil.which("dora")
    if command is None:
        pytest.skip("the command dora is not installed: pip install dora-rs-cli")
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "dora"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [command, "run", "dataflow.yml"],
        cwd=folder, capture_output=True, text=True, timeout=180, check=False, env=os.environ | {"PATH": path},
    )  # fmt: skip
    out = done.stdout + done.stderr
    assert done.returncode == 0, out[-3000:]
    told = [
        decode_event(line[line.index("{") :].encode())
        for line in out.splitlines()
        if "listener: {" in line and '"kind"' in line
    ]
    states = [event for event in told if isinstance(event, State)]
    assert [one.index for one in states] == list(range(len(states)))
    assert len(states) >= 3
    assert states[-1].end_pts_seconds == pytest.approx(6.0, abs=0.2)
    assert "subtitle" in states[-1].quality.modalities
    # Sound is heard; whether a drawn voice says anything is the pack's to tell.
    assert states[-1].quality.audio_seconds > 3
    assert "happy" in {emotion.label for one in states for emotion in one.emotions}
    counts = dict(
        re.findall(r"(frame|audio|text|refused) (\d+)", out[out.index("Taken: ") :].splitlines()[0])
    )
    # The queue of frames holds one, the newest; those of sound and words hold their senders back.
    assert (counts["audio"], counts["text"]) == ("61", "3")
    assert 1 <= int(counts["frame"]) <= 61
    assert "refused" not in counts
