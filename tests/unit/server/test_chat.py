"""`POST /v1/chat/completions`, by hand and with OpenAI's own client."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.server_client import Answer, Server

CLIP = "data:video/mp4;base64," + base64.b64encode(b"a clip").decode()


def message(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


VIDEO = {"type": "video_url", "video_url": {"url": CLIP}}
WHY = {"type": "text", "text": "Why?"}


def ask(server: Server, **wish: Any) -> Answer:
    body = {"model": "stub", "messages": message(VIDEO, WHY), **wish}
    return server.request("POST", "/v1/chat/completions", json.dumps(body))


def test_a_clip_and_a_question(stub: Server) -> None:
    answer = ask(stub, subtitle="I am fine.", seed=3).json
    assert answer["object"] == "chat.completion"
    choice = answer["choices"][0]
    assert choice["message"]["content"].endswith("[I am fine.] [6]")
    assert choice["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 80, "completion_tokens": 25, "total_tokens": 105}
    assert (answer["emer"]["question"], answer["emer"]["seed"]) == ("Why?", 3)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio_url", "audio_url": {"url": CLIP.replace("video/mp4", "audio/x-wav")}},
        {"type": "input_audio", "input_audio": {"data": CLIP.partition(",")[2], "format": "wav"}},
        {"type": "file", "file": {"file_data": CLIP, "filename": "a.mp4"}},
        {"type": "video_url", "video_url": {"url": CLIP.replace(";base64", ";codecs=avc1;base64")}},
    ],
)
def test_other_parts_that_hold_a_clip(stub: Server, part: dict[str, Any]) -> None:
    answer = ask(stub, messages=message(part))
    assert answer.status == 200, answer.body
    assert answer.json["emer"]["question"] == "explain"


@pytest.mark.parametrize(
    ("wish", "status", "why"),
    [
        ({"model": "gpt-4o"}, 404, "no model"),
        ({"messages": []}, 400, "exactly one message"),
        ({"messages": [{"role": "system", "content": "Be kind."}, *message(VIDEO)]}, 400, "exactly one"),
        ({"messages": [{"role": "user", "content": "hello"}]}, 400, "list of parts"),
        ({"messages": message(WHY)}, 400, "0 clips"),
        ({"messages": message(VIDEO, VIDEO)}, 400, "2 clips"),
        (
            {"messages": message({"type": "video_url", "video_url": {"url": "http://a.b/c.mp4"}})},
            400,
            "data:",
        ),
        ({"messages": message({"type": "video_url", "video_url": {"url": CLIP + "!"}})}, 400, "base64"),
        ({"messages": message({"type": "image_url", "image_url": {"url": CLIP}})}, 400, "image_url"),
        ({"n": 2}, 400, "n = 2"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"temperature": "hot"}, 400, "temperature"),
    ],
)
def test_what_is_outside_the_subset_is_refused(
    stub: Server, wish: dict[str, Any], status: int, why: str
) -> None:
    answer = ask(stub, **wish)
    assert answer.status == status
    assert why in answer.error["what"]
    assert answer.error["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"model": "stub"}', b"\xff"])
def test_bodies_that_are_no_request(stub: Server, body: bytes) -> None:
    assert stub.request("POST", "/v1/chat/completions", body).status in (400, 404)


def test_a_stream_ends_with_done(stub: Server) -> None:
    answer = ask(stub, stream=True, stream_options={"include_usage": True})
    assert answer.body.endswith(b"data: [DONE]\n\n")
    chunks = answer.events
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["emer"]["emotions"][0]["label"] == "happy"
    words = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert words == "She smiles broadly, and she says that she is glad!"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 105


def test_an_error_before_the_first_chunk_has_its_status(stub: Server) -> None:
    # The stub fails after its first event, which has no chunk: nothing was sent yet.
    answer = ask(stub, stream=True, messages=message(VIDEO, {"type": "text", "text": "path"}))
    assert (answer.status, answer.error["kind"]) == (422, "MediaError")
    answer = ask(stub, stream=True, messages=message(VIDEO, {"type": "text", "text": "crash"}))
    assert answer.events[-1]["error"]["kind"] == "WorkerError"


def test_the_openai_client(stub: Server) -> None:
    openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")
    client = openai.OpenAI(base_url=f"{stub.address}/v1", api_key="none needed", max_retries=0)
    assert [model.id for model in client.models.list()] == ["stub"]
    answer = client.chat.completions.create(
        model="stub", messages=message(VIDEO, WHY), max_tokens=50, extra_body={"subtitle": "Hi."}
    )
    assert "[Hi.]" in answer.choices[0].message.content
    assert answer.usage.total_tokens == 105
    stream = client.chat.completions.create(model="stub", messages=message(VIDEO), stream=True)
    words = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert words.startswith("She smiles broadly")
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.chat.completions.create(model="other", messages=message(VIDEO))
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(
            model="stub", messages=message(VIDEO, {"type": "text", "text": "path"})
        )
    assert caught.value.body["kind"] == "MediaError"
