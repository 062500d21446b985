"""A judge is asked once for each prompt, silence is not judged, and cues are read and matched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from emer_edge.errors import DeviceError, InputError, LimitError
from emer_edge.evaluate import judge_models
from emer_edge.evaluate.cue_reading import read_cue_file, read_cues
from emer_edge.evaluate.datasets import DataSet, Row, Truth
from emer_edge.evaluate.judge_models import Endpoint, LocalModel, open_judge
from emer_edge.evaluate.judgements import Judgements
from emer_edge.evaluate.judging import Judging
from emer_edge.evaluate.labels_text import parse_label_list
from emer_edge.evaluate.measures import score_system
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.overlap_cues import score_cues
from emer_edge.evaluate.scores import Resampling
from emer_edge.evaluate.sentence_encoders import Foreign, load_encoder
from emer_edge.evaluate.stored import System
from emer_edge.evaluate.truth_scores import Scoring
from tests.data.make_llm import write_llm


class Fixed:
    """Says 7, and 3 where the words are empty; the words of a text are its last one."""

    name = "fixed"

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.closed = False

    def answer(self, prompt: str, kind: str) -> str:
        self.prompts.append(prompt)
        if "far too long" in prompt:
            raise LimitError("It does not fit.")
        return "[sad]" if kind == "words" else "3" if "Predicted words: []" in prompt else "7"

    def close(self) -> None:
        self.closed = True


def data(language: str = "en") -> DataSet:
    rows = tuple(Row(name, Truth(label="sad", text=f"He frowns, {name}.")) for name in "abc")
    return DataSet("d", "plain", rows, ("sad", "happy"), language)  # type: ignore[arg-type]


def system(**texts: str) -> System:
    outputs = {name: Output(name, ("sad",), text) for name, text in texts.items()}
    return System("s", outputs, "the system", Path())


def test_overlaps_stand_beside_the_other_figures_and_silence_is_worth_1() -> None:
    model = Fixed()
    how = Scoring(judging=Judging(Judgements(model)), resampling=Resampling(100))
    scored = score_system(data(), system(a="He is sad.", b="", c="far too long"), how)
    assert scored.estimates["clue_overlap"].value == pytest.approx((0.7 + 0.1) / 2)
    assert scored.details["clue_overlap"] == {
        "overlap": "clues",
        "judge": "fixed",
        "clips": 3,
        "without_score": 1,
        "unreadable": "skip",
        "mean": 4.0,
    }
    # The words of a text that is too long are not known, which the judge is told.
    assert scored.details["label_overlap"]["mean"] == pytest.approx((7 + 1 + 1) / 3)
    how.close()
    assert model.closed


def test_a_prompt_is_asked_once_even_across_calls(tmp_path: Path) -> None:
    path, model = tmp_path / "kept.jsonl", Fixed()
    first = Judgements(model, path)
    assert [first.answer("p", "score"), first.answer("p", "score"), first.answer("p", "words")] == [
        "7",
        "7",
        "[sad]",
    ]
    first.close()
    with path.open("ab") as handle:
        handle.write(b'{"prompt": "torn')
    again = Judgements(model, path)
    assert again.answer("p", "score") == "7"
    assert (len(model.prompts), again.asked) == (2, 0)
    again.answer("q", "score")
    again.close()
    assert [set(json.loads(line)) for line in path.read_text().splitlines()] == [
        {"prompt", "judge", "answer"}
    ] * 3
    other = Fixed()
    other.name = "another"
    Judgements(other, path).answer("p", "score")
    assert other.prompts == ["p"]
    path.write_text('{"id": 1}\n')
    with pytest.raises(InputError, match="no judgement"):
        Judgements(model, path)


def test_rows_without_a_text_by_people_can_t_be_judged() -> None:
    rows = DataSet("d", "plain", (Row("a", Truth(label="sad")),), ("sad",))
    with pytest.raises(InputError, match="no text by people"):
        score_system(rows, system(a="x"), Scoring(judging=Judging(Fixed())))


def test_a_local_model_answers_within_the_grammar(tmp_path: Path) -> None:
    path = tmp_path / "judge.gguf"
    write_llm(path, np.random.default_rng(3), "F32")
    judge = open_judge(str(path), threads=1)
    assert isinstance(judge, LocalModel)
    assert judge.name.startswith("judge.gguf, sha256 ")
    numbers = [judge.answer(f"How much? {word}", "score").strip() for word in ("a", "b", "a")]
    assert numbers[0] == numbers[2]
    assert all(1 <= int(number) <= 10 for number in numbers)
    assert isinstance(parse_label_list(judge.answer("Which words?", "words")), tuple)
    with pytest.raises(LimitError):
        judge.answer("word " * 3000, "score")
    judge.close()


class Server(BaseHTTPRequestHandler):
    """Speaks as much of the protocol as is needed, after failing twice."""

    replies: ClassVar[list[tuple[int, bytes]]] = []
    seen: ClassVar[list[tuple[str, str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers.get("Authorization", ""), body))
        status, data = self.replies.pop(0)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(judge_models, "_FIRST_WAIT_SECONDS", 0.0)
    Server.replies, Server.seen = [], []
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_is_asked_again_and_its_key_stays_with_it(address, monkeypatch) -> None:
    monkeypatch.setenv(judge_models.KEY_VARIABLE, "secret")
    good = json.dumps({"choices": [{"message": {"content": " 8 \n"}}]}).encode()
    Server.replies = [(503, b""), (429, b""), (200, good)]
    judge = open_judge(address + "/", "m")
    assert judge.answer("how much?", "score") == "8"
    assert "secret" not in judge.name
    path, key, body = Server.seen[-1]
    assert (path, key, body["model"], body["temperature"]) == (
        "/v1/chat/completions",
        "Bearer secret",
        "m",
        0,
    )
    assert body["messages"] == [{"role": "user", "content": "how much?"}]
    assert len(Server.seen) == 3


@pytest.mark.parametrize("reply", [(401, b""), (302, b""), (200, b"{}"), (200, b"<html>"), (200, b"[]")])
def test_an_endpoint_that_refuses_or_redirects_is_an_error(address, reply) -> None:
    Server.replies = [reply]
    with pytest.raises(DeviceError):
        Endpoint(address, "m").answer("p", "score")
    assert len(Server.seen) == 1


def test_judges_that_can_t_be_are_refused(tmp_path: Path) -> None:
    for where, model in (
        ("ftp://host/v1", "m"),
        ("http:///v1", "m"),
        ("http://user:word@host/v1", "m"),
        ("http://host/v1", ""),
        (str(tmp_path / "none.gguf"), ""),
        (__file__, "m"),
    ):
        with pytest.raises(InputError):
            Endpoint(where, model) if where.startswith("ftp") else open_judge(where, model)


def test_cues_are_clauses_about_face_and_voice() -> None:
    found = read_cues(
        'His eyes are wide and his voice trembles, "I see". The voice is not audible. He is afraid.'
    )
    assert found["visual"] == ["His eyes are wide"]
    assert found["auditory"] == ["his voice trembles"]
    assert found["emotional"] == ["afraid"]
    assert all(not cues for cues in read_cues("").values())


def test_a_bag_of_words_finds_the_same_words() -> None:
    encoder = load_encoder("words")
    vectors = encoder.encode(["He is smiling broadly", "the smile is broad", "a loud voice", "the"])
    assert vectors[0] @ vectors[1] > 0
    assert vectors[0] @ vectors[2] == 0
    assert not vectors[3].any()


def count_letters(texts: list[str]) -> list[list[float]]:
    return [[float(text.count(letter)) for letter in "aeiou"] for text in texts]


def test_any_function_may_encode(tmp_path: Path) -> None:
    path = tmp_path / "cues.jsonl"
    path.write_text(
        '{"id": "a", "visual": ["smile"], "auditory": ["loud text"]}\n{"id": "b", "emotional": ["joy"]}\n'
    )
    cues = read_cue_file(path)
    for encoder in (Foreign("letters", count_letters), load_encoder()):
        scores = score_cues(cues, cues, encoder)
        assert scores.kinds["visual"].f1 == pytest.approx(1)
        assert scores.kinds["auditory"].names == ()
        assert scores.kinds["emotional"].names == ("b",)
    for name in ("none", "no_such_module:f", "json:nothing", "json:__name__"):
        with pytest.raises(InputError):
            load_encoder(name)
    with pytest.raises(InputError, match="failed"):
        load_encoder("math:sqrt").encode(["a"])
    path.write_text('{"id": "a", "visual": "smile"}\n')
    with pytest.raises(InputError, match="row 1"):
        read_cue_file(path)


def test_cues_of_texts_are_figures_for_english_only() -> None:
    how = Scoring(encoder=load_encoder(), resampling=Resampling(100))
    scored = score_system(data(), system(a="He frowns, a.", b="He smiles.", c=""), how)
    assert scored.estimates["cue_visual_f"].value == pytest.approx(1 / 3)
    assert np.isnan(scored.estimates["cue_auditory_f"].value)
    assert scored.details["cues"]["encoder"].startswith("bag of words")
    with pytest.raises(InputError, match="English"):
        score_system(data("zh"), system(a="x", b="x", c="x"), how)
