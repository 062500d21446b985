"""Files, devices and network streams push what they hold, at the pace they should, and end as they should."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.errors import InputError, MediaError, OutputError
from emer_edge.limits import Limits
from emer_edge.live.events import State, Token
from emer_edge.live.record import Recorder, session_record
from emer_edge.live.sources import CameraSource, FileSource, NetworkSource, open_source
from emer_edge.media.flow import Picture, Piece, file_flow
from tests.unit.live.streams import dropped, failures, states

PATTERN, TONE = "testsrc=size=160x120:rate=10:duration=2", "sine=frequency=300:duration=2"


def test_a_file_flows_in_order_of_time(demo_clip: Path) -> None:
    items = list(file_flow(demo_clip, Limits()))
    times = [item.seconds for item in items]
    assert times == sorted(times)
    pictures = [item for item in items if isinstance(item, Picture)]
    sound = [item for item in items if isinstance(item, Piece)]
    assert pictures[0].pixels().shape == (360, 640, 3)
    assert not pictures[0].pixels().flags.writeable
    assert sum(piece.pcm.shape[1] / piece.sample_rate for piece in sound) == pytest.approx(6, abs=0.1)


def test_frames_do_not_wait_for_the_garbage_collector(demo_clip: Path) -> None:
    av = pytest.importorskip("av")
    gc.collect()
    gc.disable()
    try:
        shapes = {i.pixels().shape for i in file_flow(demo_clip, Limits()) if isinstance(i, Picture)}
        left = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert shapes == {(360, 640, 3)}
    assert left <= 1  # the one of which the orientation was asked


def test_a_file_as_fast_as_possible(nano: ee.Reasoner, demo_clip: Path) -> None:
    with nano.live(window_seconds=4.0, hop_seconds=1.0, policy="block") as live:
        FileSource(demo_clip, realtime=False).run(live, threading.Event())
    events = list(live)
    told = states(events)
    assert [round(state.end_pts_seconds) for state in told] == [1, 2, 3, 4, 5, 6]
    assert told[-1].quality.modalities == ("vision", "audio", "subtitle")
    assert told[-1].quality.faces == 8
    assert dropped(events) == {}
    assert not failures(events)


def test_a_loop_goes_on_without_a_jump(stub: ee.Reasoner, demo_clip: Path) -> None:
    stop = threading.Event()
    with stub.live(window_seconds=4.0, hop_seconds=2.0, policy="block", speech=None) as live:
        source = FileSource(demo_clip, realtime=False, loop=True)
        thread = threading.Thread(target=source.run, args=(live, stop))
        thread.start()
        while live.stats()["states"] < 8:
            time.sleep(0.01)
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
    events = list(live)
    assert [round(state.end_pts_seconds) for state in states(events)][:8] == list(range(2, 17, 2))
    assert dropped(events) == {}


def test_real_time_is_kept_and_stops_at_once(stub: ee.Reasoner, demo_clip: Path) -> None:
    stop = threading.Event()
    with stub.live(window_seconds=1.0, hop_seconds=0.5, speech=None) as live:
        thread = threading.Thread(target=FileSource(demo_clip).run, args=(live, stop))
        began = time.monotonic()
        thread.start()
        while live.stats()["states"] < 3:
            time.sleep(0.01)
        assert time.monotonic() - began >= 1.4
        stop.set()
        thread.join(1)
        assert not thread.is_alive()


def test_camera_and_microphone_are_stamped_as_they_arrive(stub: ee.Reasoner) -> None:
    source = CameraSource(PATTERN, TONE, camera_format="lavfi", microphone_format="lavfi")
    with stub.live(window_seconds=1.0, hop_seconds=0.5, policy="block", speech=None) as live:
        before = time.monotonic()
        source.run(live, threading.Event())
    assert live.stats()["pushed"]["frames"] == 20
    assert live.stats()["pushed"]["audio"] > 20
    assert before - 1 <= states(list(live))[0].start_pts_seconds <= time.monotonic()


def test_a_camera_that_is_not_there_is_said(stub: ee.Reasoner) -> None:
    with stub.live(speech=None) as live:
        with pytest.raises(MediaError, match="/dev/video99"):
            CameraSource("/dev/video99").run(live, threading.Event())
        with pytest.raises(InputError):
            CameraSource(None).run(live, threading.Event())


def test_the_network_is_used_only_where_it_is_allowed(stub: ee.Reasoner) -> None:
    url = "rtsp://127.0.0.1:1/stream"
    with pytest.raises(InputError, match="network"):
        open_source(url)
    with pytest.raises(InputError, match="RTSP"):
        open_source("http://127.0.0.1/clip.mp4", allow_network=True)
    with stub.live(speech=None) as live:
        with pytest.raises(InputError, match="network"):
            NetworkSource(url).run(live, threading.Event())
        with pytest.raises(MediaError):
            open_source(url, allow_network=True).run(live, threading.Event())


def test_names_of_sources() -> None:
    assert open_source("clip.mp4", realtime=False, loop=True) == FileSource("clip.mp4", False, True)
    assert open_source("camera", microphone="default") == CameraSource(microphone="default")
    assert open_source("/dev/video2") == CameraSource("/dev/video2")
    assert open_source("microphone") == CameraSource(None, "default")


def test_what_is_no_clip_is_refused(stub: ee.Reasoner, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with stub.live(speech=None) as live:
        for name in ("no.mp4", "absent.mp4"):
            with pytest.raises((MediaError, InputError)):
                FileSource(tmp_path / name).run(live, threading.Event())


def test_a_recorded_timeline_reads_back(stub: ee.Reasoner, demo_clip: Path, tmp_path: Path) -> None:
    record = pytest.importorskip("emer_edge.bridges.record")
    path = tmp_path / "timeline.jsonl"
    with stub.live(window_seconds=4.0, hop_seconds=2.0, policy="block", speech=None) as live:
        FileSource(demo_clip, realtime=False).run(live, threading.Event())
    events = list(live)
    with Recorder(path, session_record(stub.manifest, live.options)) as recorder:
        for event in events:
            recorder.write(event)
    timeline = record.read_timeline(path)
    assert list(timeline.events) == events
    assert timeline.session["hop_seconds"] == 2.0
    assert not timeline.truncated
    with pytest.raises(OutputError, match="exists"):
        Recorder(path, {})
    with pytest.raises(OutputError, match="closed"):
        recorder.write(events[0])


def test_lines_of_several_threads_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    with Recorder(path, {"kind": "session"}) as recorder:
        threads = [
            threading.Thread(target=lambda: [recorder.write(Token("x" * 3000, i)) for i in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 201
    assert all(line.startswith("{") and line.endswith("}") for line in lines)


def test_a_function_is_called_only_for_frames_that_are_needed(stub: ee.Reasoner) -> None:
    calls = []

    def make() -> np.ndarray:
        calls.append(1)
        return np.zeros((40, 60, 3), np.uint8)

    with stub.live(window_seconds=8.0, hop_seconds=2.0, policy="block", speech=None) as live:
        for i in range(300):
            live.push_frame(make, i / 30)
    assert len(calls) == 10
    assert all(isinstance(event, State) for event in live)
