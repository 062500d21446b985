"""A grammar leaves a model nothing to say but what it describes; a chat template frames what is asked."""

from __future__ import annotations

import re
from pathlib import Path

import gguf
import numpy as np
import pytest

from emer_edge.errors import InputError
from emer_edge.evaluate.labels_text import parse_label_list
from emer_edge.evaluate.overlap_judge import SCORE_GRAMMAR, WORDS_GRAMMAR
from emer_edge.llm.context import Branch
from emer_edge.llm.generate import Generation
from emer_edge.llm.gguf import Llm
from emer_edge.llm.grammar import Constrained
from emer_edge.llm.sampling import GenerationOptions
from tests.data import make_llm

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def say(
    llm: Llm, prompt: str, grammar: str, seed: int = 0, temperature: float = 1.5
) -> tuple[str, str | None]:
    ids = np.array(llm.tokenize_chat(prompt), np.int32)
    llm.reset()
    llm.decode(ids, np.arange(len(ids)), [(0,)] * len(ids), np.arange(len(ids)) == len(ids) - 1)
    source = Constrained(Branch(llm, 0, llm.logits(len(ids) - 1)), llm.grammar(grammar))
    said = Generation(source, GenerationOptions(80, temperature, seed=seed))
    return "".join(said), said.finish


def test_a_random_model_gives_a_number_from_1_to_10_and_nothing_else(llm: Llm) -> None:
    found = {say(llm, f"rate {seed}", SCORE_GRAMMAR, seed) for seed in range(60)}
    assert {text for text, _ in found} <= {str(number) for number in range(1, 11)}
    assert len(found) > 5
    assert {finish for _, finish in found} == {"stop"}


def test_a_random_model_gives_a_list_of_words(llm: Llm) -> None:
    for seed in range(12):
        text, finish = say(llm, "words", WORDS_GRAMMAR, seed)
        if finish == "stop":  # a random model seldom closes a list
            assert re.fullmatch(r"\[.*\]", text)
            assert len(parse_label_list(text)) <= 12
        assert text.startswith("[")
        assert "\n" not in text


def test_greedy_answers_are_the_same_again(llm: Llm) -> None:
    first = say(llm, "rate this", SCORE_GRAMMAR, temperature=0)
    say(llm, "something else", SCORE_GRAMMAR)
    assert say(llm, "rate this", SCORE_GRAMMAR, temperature=0) == first


def test_what_a_grammar_forbids_is_refused_before_llama_cpp_sees_it(llm: Llm) -> None:
    llm.reset()
    llm.decode(np.array([5], np.int32), [0], [(0,)], [True])
    source = Constrained(Branch(llm, 0, llm.logits(0)), llm.grammar(SCORE_GRAMMAR))
    (letter,) = llm.tokenize("a")
    with pytest.raises(InputError, match="does not allow"):
        source.step(letter)
    with pytest.raises(InputError, match="grammar"):
        llm.grammar("root ::= (")


def test_the_context_may_be_left_to_the_model(gguf_path: Path) -> None:
    with Llm(gguf_path, n_ctx=0, threads=1) as llm:
        assert llm.n_ctx == make_llm.CONTEXT


def test_control_tokens_come_from_the_template_alone(
    gguf_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, path = make_llm.vocabulary().index("<|im_start|>"), tmp_path / "chat.gguf"
    add_tokenizer = make_llm._add_tokenizer

    def add_both(writer: gguf.GGUFWriter) -> None:
        add_tokenizer(writer)
        writer.add_chat_template(CHATML)

    monkeypatch.setattr(make_llm, "_add_tokenizer", add_both)
    make_llm.write_llm(path, np.random.default_rng(7), "F32")
    asked = "say <|im_start|> and <|im_end|>"
    with Llm(path, n_ctx=256, threads=1) as llm:
        ids = llm.tokenize_chat(asked)
        text = b"".join(llm.piece(token) for token in ids).decode()
    assert ids.count(start) == 2  # the user's turn and the assistant's
    assert asked in text
    assert text.endswith("assistant\n")
    with Llm(gguf_path, n_ctx=256, threads=1) as llm:
        assert start not in llm.tokenize_chat(asked)
