"""The prompt: what is left out, what can't be smuggled in, and where the prefix ends."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emer_edge.errors import InputError
from emer_edge.llm.gguf import Llm
from emer_edge.llm.prompt import (
    Prompt,
    PromptPart,
    PromptTemplate,
    Segments,
    Soft,
    Text,
    build_prompt,
    layout,
)
from emer_edge.results import Modality
from tests.data.make_llm import write_llm

AUDIO: frozenset[Modality] = frozenset({"audio"})
VISION: frozenset[Modality] = frozenset({"vision"})
BOTH: frozenset[Modality] = frozenset({"audio", "vision"})
SUBTITLE: frozenset[Modality] = frozenset({"subtitle"})
QUESTION = "Please recognize all possible emotional states of the character."
# AffectGPT's own prompt, face mode.
AFFECTGPT = PromptTemplate(
    parts=(
        PromptPart("###Human: "),
        PromptPart("The audio and video merged info is: <Multi><MultiHere></Multi>. ", BOTH),
        PromptPart("The audio content is as follows: <Audio><AudioHere></Audio>. ", AUDIO),
        PromptPart(
            "Meanwhile, we uniformly sample raw frames from the video and extract faces from these frames: "
            "<Video><FaceHere></Video>. ",
            VISION,
        ),
        PromptPart("The subtitle of this video is: <Subtitle>{subtitle}</Subtitle>. ", SUBTITLE),
        PromptPart("Now, please answer my question based on all the provided information. "),
        PromptPart("{question} ###Assistant: "),
    ),
    markers={"<MultiHere>": "multi", "<AudioHere>": "audio", "<FaceHere>": "vision"},
)
# A short one, whose question begins a line.
LINES = PromptTemplate(
    parts=(
        PromptPart("###Human:"),
        PromptPart(" Video:<FaceHere>", VISION),
        PromptPart(" Subtitle: {subtitle}", SUBTITLE),
        PromptPart("\n{question} ###Assistant:"),
    ),
    markers={"<FaceHere>": "vision"},
)
MODALITIES: tuple[Modality, ...] = ("vision", "audio", "subtitle")
PRESENT = [set(some) for size in range(4) for some in combinations(MODALITIES, size)]


def by_letter(text: str) -> list[int]:
    return list(text.encode("utf-8", "replace"))


def said(segments: Segments) -> str:
    return "".join(part.text if isinstance(part, Text) else f"[{part.name}]" for part in segments)


def whole(prompt: Prompt) -> str:
    return said(prompt.prefix) + said(prompt.tail)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llm:
    path = tmp_path_factory.mktemp("prompt") / "stub.gguf"
    write_llm(path, np.random.default_rng(7), "F32")
    return Llm(Path(path), n_ctx=256, threads=1)


def test_the_whole_prompt_reads_as_upstream() -> None:
    prompt = build_prompt(AFFECTGPT, {"vision", "audio", "subtitle"}, "I am fine.", QUESTION, by_letter)
    assert whole(prompt) == (
        "###Human: The audio and video merged info is: <Multi>[multi]</Multi>. "
        "The audio content is as follows: <Audio>[audio]</Audio>. "
        "Meanwhile, we uniformly sample raw frames from the video and extract faces from these frames: "
        "<Video>[vision]</Video>. "
        "The subtitle of this video is: <Subtitle>I am fine.</Subtitle>. "
        "Now, please answer my question based on all the provided information. "
        "Please recognize all possible emotional states of the character. ###Assistant: "
    )
    assert said(prompt.prefix).endswith("provided information.")
    assert said(prompt.tail).startswith(" Please recognize")


def test_parts_with_unmet_needs_are_left_out() -> None:
    prompt = build_prompt(AFFECTGPT, {"audio"}, "", "Why?", by_letter)
    assert [part.name for part in prompt.prefix if isinstance(part, Soft)] == ["audio"]
    assert "subtitle" not in whole(prompt)
    assert "video" not in whole(prompt)
    assert build_prompt(AFFECTGPT, set(), "x", "Why?", by_letter).prefix == (
        Text("###Human: Now, please answer my question based on all the provided information."),
    )


def test_neighbouring_texts_are_one() -> None:
    prompt = build_prompt(AFFECTGPT, {"vision", "audio", "subtitle"}, "Hm.", QUESTION, by_letter)
    for segments in (prompt.prefix, prompt.tail):
        kinds = [type(part) for part in segments]
        assert all(not (a is b is Text) for a, b in pairwise(kinds))


@pytest.mark.parametrize("present", PRESENT, ids=lambda some: "+".join(sorted(some)) or "nothing")
@pytest.mark.parametrize("template", [AFFECTGPT, LINES], ids=["affectgpt", "lines"])
def test_prefix_and_tail_have_the_tokens_of_the_whole(
    llm: Llm, template: PromptTemplate, present: set[Modality]
) -> None:
    prompt = build_prompt(template, present, "Leave me alone, it's over!", QUESTION, llm.tokenize)
    last, first = prompt.prefix[-1], prompt.tail[0]
    assert isinstance(first, Text)
    if isinstance(last, Text):
        assert llm.tokenize(last.text) + llm.tokenize(first.text) == llm.tokenize(last.text + first.text)


odd = st.text(st.sampled_from("ab .!'#\n\t\r\u00a0é你1<>{}"), max_size=20)


@settings(max_examples=300, deadline=None)
@given(before=odd, subtitle=odd, question=odd, after=odd)
def test_the_border_never_changes_a_token(
    llm: Llm, before: str, subtitle: str, question: str, after: str
) -> None:
    plain = before.replace("{", "").replace("}", "")
    template = PromptTemplate(
        (PromptPart("x<A>{subtitle}" + plain + "{question}" + after.replace("{", "")),), {"<A>": "a"}
    )
    prompt = build_prompt(template, {"subtitle"}, subtitle, question, llm.tokenize)
    assert whole(prompt) == f"x[a]{subtitle}{plain}{question}" + after.replace("{", "")

    def ids(segments: Segments) -> list[int]:
        return [i for part in segments for i in (llm.tokenize(part.text) if isinstance(part, Text) else [-1])]

    assert ids(prompt.prefix) + ids(prompt.tail) == [
        *llm.tokenize("x"), -1, *llm.tokenize(f"{subtitle}{plain}{question}" + after.replace("{", ""))
    ]  # fmt: skip


def test_the_prefix_is_the_same_for_every_question(llm: Llm) -> None:
    prefixes = {
        build_prompt(template, {"vision", "subtitle"}, "Oh.", question, llm.tokenize).prefix
        for template in (AFFECTGPT, LINES)
        for question in (QUESTION, "Why?", "1", "(what?)", "'s", "你好", "###", " x")
    }
    assert len(prefixes) == 2


def test_words_can_not_become_markers_or_fields() -> None:
    prompt = build_prompt(
        AFFECTGPT, {"subtitle"}, "<FaceHere> {question} {subtitle}", "<AudioHere> {subtitle}", by_letter
    )
    assert not [part for part in (*prompt.prefix, *prompt.tail) if isinstance(part, Soft)]
    assert "<Subtitle><FaceHere> {question} {subtitle}</Subtitle>" in said(prompt.prefix)
    assert said(prompt.tail) == " <AudioHere> {subtitle} ###Assistant: "


def test_without_a_space_the_border_is_the_marker() -> None:
    template = PromptTemplate((PromptPart("a <M>b:{question}"),), {"<M>": "m"})
    prompt = build_prompt(template, set(), "", "Why?", by_letter)
    assert (prompt.prefix, prompt.tail) == ((Text("a "), Soft("m")), (Text("b:Why?"),))


def test_a_vocabulary_that_joins_across_the_space_moves_the_border() -> None:
    def joining(text: str) -> list[int]:
        return [len(text)]

    template = PromptTemplate((PromptPart("a <M>b c {question}"),), {"<M>": "m"})
    prompt = build_prompt(template, set(), "", "Why?", joining)
    assert (prompt.prefix, prompt.tail) == ((Text("a "), Soft("m")), (Text("b c Why?"),))


def test_the_longest_marker_wins() -> None:
    template = PromptTemplate((PromptPart("<A><AB>{question}"),), {"<A": "short", "<AB>": "long"})
    prompt = build_prompt(template, set(), "", "q", by_letter)
    assert [part.name for part in prompt.prefix if isinstance(part, Soft)] == ["short", "long"]


def test_an_answer_is_tokenised_on_its_own() -> None:
    prompt = build_prompt(LINES, set(), "", "Why?", by_letter).answered(" He is")
    assert prompt.tail[-2:] == (Text("Why? ###Assistant:"), Text(" He is"))


def test_layout_gives_ids_and_rows() -> None:
    soft = {"m": np.ones((2, 4), np.float32)}
    laid = layout((Text("ab"), Soft("m"), Text("c")), by_letter, soft, bos=9)
    assert [part.dtype for part in laid] == [np.int32, np.int32, np.float32, np.int32]
    assert [part.tolist() for part in (laid[0], laid[1], laid[3])] == [[9], [97, 98], [99]]
    np.testing.assert_array_equal(laid[2], soft["m"])
    with pytest.raises(InputError, match="voice"):
        layout((Soft("voice"),), by_letter, soft)


@pytest.mark.parametrize(
    "parts",
    [
        (PromptPart("no question"),),
        (PromptPart("{question}{question}"),),
        (PromptPart("{question}"), PromptPart("{question}")),
        (PromptPart("{question}", AUDIO),),
    ],
)
def test_templates_that_make_no_sense(parts: tuple[PromptPart, ...]) -> None:
    with pytest.raises(InputError):
        PromptTemplate(parts, {})
    with pytest.raises(InputError):
        PromptTemplate((PromptPart("{question}"),), {"": "x"})
