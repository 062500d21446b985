"""The whole trip on a stub pack: real decoders, real ONNX and GGUF files, random weights."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import emer_edge as ee
import emer_edge.prompting
from emer_edge.errors import Cancelled, InputError, LimitError, MediaError
from tests.data.make_pack import make_stub_pack
from tests.support.made_clip import made_clip

SCHEMA = Path(ee.__file__).parent / "schemas" / "reasoning.schema.json"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stub_pack(tmp_path_factory.mktemp("pack") / "stub", frames_source="frames")


@pytest.fixture(scope="module")
def reasoner(pack: Path) -> Iterator[ee.Reasoner]:
    with ee.load(pack, threads=1) as loaded:
        yield loaded


FEW = ee.Options(max_tokens=12)


def test_a_media_file_gives_a_result_that_the_schema_takes(reasoner: ee.Reasoner, demo_clip: Path) -> None:
    out = reasoner.infer(demo_clip, options=FEW)
    jsonschema.validate(out.to_dict(), json.loads(SCHEMA.read_text()))
    assert out.used.modalities[:2] == ("vision", "audio")
    assert out.used.frames == 8
    assert out.used.decoder in ("native", "pyav")
    assert abs(sum(out.scores.values()) - 1) < 1e-6
    assert out.emotions[0].confidence == max(out.scores.values())
    assert out.timings.total >= out.timings.first_label > 0


def test_arrays_give_the_same_twenty_times(reasoner: ee.Reasoner) -> None:
    seen = {
        json.dumps(reasoner.infer(made_clip(), options=FEW).to_dict(timings=False), sort_keys=True)
        for _ in range(20)
    }
    assert len(seen) == 1


def test_sampling_follows_the_seed(reasoner: ee.Reasoner) -> None:
    def text(seed: int) -> str:
        return reasoner.infer(
            made_clip(), options=ee.Options(max_tokens=12, temperature=1.5, top_p=1.0, top_k=0, seed=seed)
        ).text

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(6)}) > 1


def test_the_labels_come_before_the_first_word(reasoner: ee.Reasoner) -> None:
    told: list[ee.Event] = []
    out = reasoner.infer(made_clip(), options=FEW, on_event=told.append)
    kinds = [event.kind for event in told]
    assert kinds.index("used") < kinds.index("labels") < kinds.index("text")
    assert kinds[-1] == "done"
    assert "".join(e.text for e in told if e.kind == "text").strip() == out.text
    decision = next(e.emotions for e in told if e.kind == "labels")
    assert decision[0].label == out.emotions[0].label


def test_no_text_is_generated_where_none_is_wanted(reasoner: ee.Reasoner) -> None:
    out = reasoner.infer(made_clip(), options=ee.Options(max_tokens=0))
    assert (out.text, out.finish, out.timings.new_tokens) == ("", "labels_only", 0)
    assert out.emotions


@pytest.mark.parametrize("absent", ["frames", "waveform", "subtitle"])
def test_what_is_absent_is_named_and_left_out(reasoner: ee.Reasoner, absent: str) -> None:
    whole = made_clip()
    parts = {name: getattr(whole, name) for name in ("frames", "waveform", "subtitle") if name != absent}
    out = reasoner.infer(ee.Clip(**parts), options=FEW)
    word = {"frames": "vision", "waveform": "audio", "subtitle": "subtitle"}[absent]
    assert word not in out.used.modalities
    assert len(out.used.modalities) == 2
    assert any(absent in sentence for sentence in out.used.missing)


def test_silence_is_left_out_and_said(reasoner: ee.Reasoner) -> None:
    clip = ee.Clip(waveform=np.zeros(32_000, np.float32), subtitle="Well.")
    out = reasoner.infer(clip, options=FEW)
    assert out.used.modalities == ("subtitle",)
    assert "the sound track is silent" in out.used.missing
    with pytest.raises(MediaError, match="Nothing in clip can be used"):
        reasoner.infer(ee.Clip(waveform=np.zeros(32_000, np.float32)))


def test_a_broken_subtitle_beside_the_clip_costs_only_the_words(
    reasoner: ee.Reasoner, demo_clip: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(demo_clip.read_bytes())
    clip.with_suffix(".srt").write_bytes(b"\x00\x01\x02 no subtitle at all")
    out = reasoner.infer(clip, options=FEW)
    assert out.used.modalities == ("vision", "audio")
    assert any("sidecar:clip.srt" in sentence for sentence in out.used.missing)
    with pytest.raises(ee.EmerError):
        reasoner.infer(clip, subtitle=clip.with_suffix(".srt"), options=FEW)


def test_a_second_question_reuses_the_prefix(reasoner: ee.Reasoner) -> None:
    perception = reasoner.perceive(made_clip())
    first = reasoner.ask(perception, "explain", options=FEW)
    second = reasoner.ask(perception, "labels", options=FEW)
    fresh = reasoner.infer(made_clip(), question="labels", options=FEW)
    assert second.scores == first.scores
    assert second.text == fresh.text
    assert second.emotions == fresh.emotions
    other = reasoner.perceive(ee.Clip(subtitle="Something else."))
    assert reasoner.ask(other, options=FEW).used.modalities == ("subtitle",)
    again = reasoner.ask(perception, "labels", options=FEW)
    assert again.text == fresh.text


def test_threads_take_turns(reasoner: ee.Reasoner) -> None:
    clips = [ee.Clip(subtitle=f"Number {n}.") for n in range(4)]
    serial = [reasoner.infer(c, options=FEW).to_dict(timings=False) for c in clips]
    out: list[dict[str, object]] = [{} for _ in clips]

    def work(index: int) -> None:
        out[index] = reasoner.infer(clips[index], options=FEW).to_dict(timings=False)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert out == serial


def test_cancel_stops_and_the_reasoner_lives_on(reasoner: ee.Reasoner) -> None:
    token = ee.CancelToken()

    def stop(event: ee.Event) -> None:
        if event.kind == "text":
            token.cancel()

    began = time.perf_counter()
    with pytest.raises(Cancelled):
        reasoner.infer(made_clip(), options=ee.Options(max_tokens=200), on_event=stop, cancel=token)
    assert time.perf_counter() - began < 2
    assert reasoner.infer(made_clip(), options=FEW).emotions


def test_an_error_of_the_callback_is_the_callers_own(reasoner: ee.Reasoner) -> None:
    class Mine(Exception):
        pass

    def fail(event: ee.Event) -> None:
        if event.kind == "text":
            raise Mine

    with pytest.raises(Mine):
        reasoner.infer(made_clip(), options=FEW, on_event=fail)
    assert reasoner.infer(made_clip(), options=FEW).emotions


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"question": "  "}, InputError),
        ({"question": "x" * 5000}, LimitError),
        ({"options": ee.Options(max_tokens=10**6)}, LimitError),
        ({"options": ee.Options(max_tokens=-1)}, InputError),
        ({"options": ee.Options(temperature=-1.0)}, InputError),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    reasoner: ee.Reasoner, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        reasoner.infer(made_clip(), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "clip",
    [
        ee.Clip(),
        ee.Clip(frames=np.zeros((2, 4, 4), np.uint8)),
        ee.Clip(frames=np.zeros((0, 4, 4, 3), np.uint8)),
        ee.Clip(frames=np.zeros((2, 4, 4, 3), np.float32)),  # type: ignore[arg-type]
        ee.Clip(waveform=np.zeros((1, 2, 3), np.float32)),
        ee.Clip(waveform=np.zeros(100, np.complex64)),
        ee.Clip(waveform=np.zeros(100, np.float32), sample_rate=3),
        42,
    ],
)
def test_arrays_that_make_no_sense_are_refused(reasoner: ee.Reasoner, clip: object) -> None:
    with pytest.raises(InputError):
        reasoner.infer(clip)  # type: ignore[arg-type]


def test_not_a_number_in_the_waveform_is_an_error_not_an_answer(reasoner: ee.Reasoner) -> None:
    waveform = np.full(32_000, np.nan, np.float32)
    with pytest.raises(ee.EmerError):
        reasoner.infer(ee.Clip(waveform=waveform))


def test_a_closed_reasoner_says_so(pack: Path) -> None:
    loaded = ee.load(pack, threads=1)
    loaded.close()
    loaded.close()
    with pytest.raises(InputError, match="closed"):
        loaded.infer(made_clip())


def test_a_missing_clip_or_pack_is_a_clear_error(reasoner: ee.Reasoner, tmp_path: Path) -> None:
    with pytest.raises(ee.EmerError) as caught:
        reasoner.infer(tmp_path / "absent.mp4")
    assert "absent.mp4" in caught.value.what
    with pytest.raises(ee.EmerError) as caught:
        ee.load("no-such-pack")
    assert caught.value.exit_code == 3


def test_a_cancelled_question_does_not_spoil_the_next(reasoner: ee.Reasoner) -> None:
    perception = reasoner.perceive(made_clip())
    before = reasoner.ask(perception, "labels", options=FEW)
    token = ee.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        reasoner.ask(perception, "labels", options=FEW, cancel=token)
    assert reasoner.ask(perception, "labels", options=FEW).text == before.text


def test_a_caller_who_stops_at_the_decision_costs_nothing(reasoner: ee.Reasoner) -> None:
    def stop(event: ee.Event) -> None:
        if event.kind == "labels":
            raise StopIteration  # the hardest one to carry through

    perception = reasoner.perceive(made_clip())
    for _ in range(80):
        with pytest.raises(StopIteration):
            reasoner.ask(perception, options=FEW, on_event=stop)
    assert reasoner.ask(perception, options=FEW).emotions


def test_what_can_be_refused_is_refused_before_the_clip_is_touched(reasoner: ee.Reasoner) -> None:
    told: list[ee.Event] = []
    with pytest.raises(LimitError):
        reasoner.infer(made_clip(), question="x" * 5000, on_event=told.append)
    with pytest.raises(LimitError):
        reasoner.infer(made_clip(), options=ee.Options(max_tokens=10**6), on_event=told.append)
    assert told == []


@pytest.mark.parametrize(
    "words", ["我今天真的很高兴见到你们大家" * 60, "嗯 " + "我" * 1500, "a " * 3000, "x" * 4000]
)
def test_a_long_subtitle_is_cut_to_the_context(reasoner: ee.Reasoner, words: str) -> None:
    out = reasoner.infer(ee.Clip(subtitle=words), options=FEW)
    assert len(out.used.subtitle) > 50
    assert words.startswith(out.used.subtitle)
    assert any("was cut to" in sentence for sentence in out.used.missing)


def test_low_ceilings_are_the_callers_not_the_packs_fault(pack: Path) -> None:
    with ee.load(pack, threads=1, limits=ee.Limits(new_tokens=5, question_chars=200)) as low:
        assert low.infer(ee.Clip(subtitle="Hm.")).timings.new_tokens <= 5
    with ee.load(pack, threads=1, limits=ee.Limits(frames=4)) as low, pytest.raises(LimitError):
        low.infer(made_clip())


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.infer(made_clip(), options=ee.Options(temperature=1e-310, max_tokens=4)) and None,
        lambda r: ee.Options(top_k=2.5),
        lambda r: ee.Options(seed=-1),
        lambda r: ee.Options(max_tokens="3"),
        lambda r: r.infer(ee.Clip(waveform=np.ones(99, np.float32), sample_rate=44_100.0)),
        lambda r: r.infer(ee.Clip(waveform=np.ones((44_100, 2), np.float32))),
        lambda r: r.infer(ee.Clip(subtitle=5)),
        lambda r: r.infer(made_clip(), question=None),
        lambda r: r.infer(made_clip(), subtitle=b"x"),
        lambda r: r.infer(made_clip(), options={"seed": 1}),
        lambda r: r.infer(made_clip(), cancel=object()),
        lambda r: r.ask("x"),
        lambda r: ee.load(None),
        lambda r: ee.load("emer-nano", threads=2.5),
        lambda r: r.infer("a\x00b.mp4"),
        lambda r: r.infer("\ud800.mp4"),
    ],
)
def test_nothing_but_our_own_errors_leaves(
    reasoner: ee.Reasoner, call: Callable[[ee.Reasoner], object]
) -> None:
    with contextlib.suppress(ee.EmerError):
        assert call(reasoner) is None
    assert reasoner.infer(ee.Clip(subtitle="Still here."), options=FEW).emotions


def test_words_from_arrays_are_cleaned_and_bounded(reasoner: ee.Reasoner) -> None:
    out = reasoner.infer(ee.Clip(subtitle="\ud800 hi\x00\x1b[2J there"), options=FEW)
    out.used.subtitle.encode()
    assert "\x1b" not in out.used.subtitle
    with pytest.raises(LimitError):
        reasoner.infer(ee.Clip(subtitle="x" * 2_000_000))


def test_a_pack_that_fails_half_way_gives_its_engines_back(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class Half:
        def close(self) -> None:
            closed.append("closed")

    def fail(*_: object) -> None:
        raise ee.EmerError("broken on purpose")

    monkeypatch.setattr("emer_edge.session.Session._llm", lambda self: Half())
    monkeypatch.setattr("emer_edge.session.Session._encoder", fail)
    with pytest.raises(ee.EmerError, match="on purpose"):
        ee.load(pack)
    assert closed == ["closed"]
