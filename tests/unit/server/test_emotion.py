"""`POST /v1/emotion` and the small routes, over a socket, with a stub for a model."""

from __future__ import annotations

import json

import pytest

from tests.support.server_client import Server

SRT = "1\n00:00:01,000 --> 00:00:02,000\nI am fine.\n"


def test_a_raw_body_is_answered_under_the_clients_name(stub: Server) -> None:
    answer = stub.clip(b"12345", filename="dir/clip.mp4", question="Why?", seed=7)
    assert answer.status == 200
    assert answer.json["clip"] == "clip.mp4"
    assert (answer.json["question"], answer.json["seed"]) == ("Why?", 7)
    assert answer.json["text"].endswith("[] [5]")
    assert answer.json["timings"]["total"] > 0


@pytest.mark.parametrize(
    "subtitle", [SRT, ("a.srt", SRT.encode()), ("../../x.vtt", b"WEBVTT\n\n" + SRT.encode())]
)
def test_a_form_brings_clip_and_subtitle(stub: Server, subtitle: str | tuple[str, bytes]) -> None:
    data = bytes(range(256)) * 700 + b"\r\n--"
    answer = stub.form({"clip": ("c.mp4", data), "subtitle": subtitle, "question": "labels"})
    assert answer.status == 200, answer.body
    assert "I am fine." in answer.json["text"]
    assert answer.json["text"].endswith(f"[{len(data)}]")


def test_words_never_name_a_file_of_the_server(stub: Server) -> None:
    answer = stub.form({"clip": ("c.mp4", b"x"), "subtitle": "/etc/hostname"})
    assert "[/etc/hostname]" in answer.json["text"]


def test_events_come_in_order_and_end_with_the_whole_answer(stub: Server) -> None:
    answer = stub.clip(sse=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    kinds = [event["kind"] for event in answer.events]
    assert kinds == ["queued", "stage", "used", "labels", "text", "text", "text", "text", "done"]
    done = answer.events[-1]
    assert done["reasoning"]["clip"] == "clip"
    assert [moment["basis"] for moment in done["moments"]] == ["clip", "speech"]
    assert done["cues"] == [{"start_seconds": 0.0, "end_seconds": 3.0, "text": "I am glad."}]


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ({"question": "path", "filename": "a.mp4"}, 422, "MediaError"),
        ({"question": "bug"}, 500, "EmerError"),
        ({"max_tokens": "many"}, 400, "InputError"),
        ({"max_tokens": "-1", "seed": "-5"}, 400, "InputError"),
        ({"colour": "red"}, 400, "InputError"),
    ],
)
def test_errors_have_a_status_and_no_paths(
    stub: Server, query: dict[str, str], status: int, kind: str
) -> None:
    answer = stub.clip(**query)
    assert (answer.status, answer.error["kind"]) == (status, kind)
    assert set(answer.error) >= {"kind", "what", "why", "todo", "exit_code", "message", "type", "code"}
    assert "/tmp" not in answer.body.decode()
    if status == 422:
        assert answer.error["what"] == "Can't read a.mp4."


def test_an_error_after_the_head_is_an_event(stub: Server) -> None:
    answer = stub.clip(sse=True, question="path")
    assert answer.status == 200
    assert answer.events[-1]["kind"] == "error"
    assert answer.events[-1]["error"]["kind"] == "MediaError"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"question": "labels"}, "0 clips"),
        ({"a": ("a.mp4", b"1"), "b": ("b.mp4", b"2")}, "2 clips"),
        ({"clip": ("a.mp4", b"")}, "empty"),
        ({"clip": ("a.mp4", b"1"), "subtitle": ("a.exe", b"MZ")}, "no subtitle"),
    ],
)
def test_forms_that_make_no_sense(stub: Server, fields: dict[str, str], why: str) -> None:
    answer = stub.form(fields)
    assert answer.status == 400
    assert why in answer.error["what"]


@pytest.mark.parametrize("body", [b"", b"--x\r\n", b"--x\r\nbroken", b"no boundary at all"])
def test_broken_multipart(stub: Server, body: bytes) -> None:
    answer = stub.request("POST", "/v1/emotion", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status, answer.error["kind"]) == (400, "InputError")


def test_a_body_that_is_too_large_is_refused_by_its_head(stub: Server) -> None:
    answer = stub.clip(bytes(2**20 + 1))
    assert (answer.status, answer.error["kind"]) == (413, "LimitError")


def test_a_chunked_body_is_counted_while_it_comes(stub: Server) -> None:
    answer = stub.clip(iter([bytes(2**18)] * 6))  # type: ignore[arg-type]
    assert answer.status == 413
    assert stub.clip(iter([b"123"] * 6)).json["text"].endswith("[18]")  # type: ignore[arg-type]


def test_an_unknown_path_or_method_is_told_in_json(stub: Server) -> None:
    assert stub.get("/v1/nothing").error["kind"] == "AbsentError"
    answer = stub.get("/v1/emotion")
    assert (answer.status, answer.error["kind"]) == (405, "MethodError")
    assert answer.headers["allow"] == "POST"
    assert stub.get("/page/../worker.py").status == 404


def test_models_health_and_metrics(stub: Server) -> None:
    models = stub.get("/v1/models").json
    assert models["object"] == "list"
    assert models["data"][0]["id"] == "stub"
    assert models["data"][0]["emer"]["labels"] == ["happy", "sad"]
    assert stub.get("/health/live").json == {"status": "live"}
    assert stub.get("/health/ready").json["status"] == "ready"
    stub.clip()
    assert stub.metric('emer_requests_total{route="/v1/emotion",status="200"}') >= 1
    assert stub.metric("emer_worker_up") == 1
    text = stub.get("/metrics").body.decode()
    assert '\nemer_answer_seconds_bucket{le="+Inf"}' in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


def test_the_answer_meets_its_schema(stub: Server) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from importlib.resources import files

    schema = json.loads((files("emer_edge") / "schemas/reasoning.schema.json").read_text())
    jsonschema.validate(stub.clip().json, schema)
