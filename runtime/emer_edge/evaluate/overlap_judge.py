"""A judge made of any function that answers a prompt with text, and a judge that replays stored scores.

Knows prompts and a grammar. Does not know models, servers or how text is generated. The prompts follow the
steps of EMER's (arXiv 2306.15401) and are worded by us, in English and Chinese.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from emer_edge.errors import InputError
from emer_edge.evaluate.overlap import Overlap, parse_judgement

Language: TypeAlias = Literal["en", "zh"]
Ask: TypeAlias = Callable[[str], str]
"""A prompt -> the answer. Greedy decoding makes a judge repeatable."""

SCORE_GRAMMAR = 'root ::= " "? ("10" | [1-9])'
"""GBNF of llama.cpp that lets a judge answer with a whole number from 1 to 10 and nothing else
(a space before it is how models that are no chat models go on after a colon)."""
WORDS_GRAMMAR = r'root ::= "[" (word (", " word){0,11})? "]"' + "\n" + r"word ::= [^\[\],\n\"']{1,40}"
"""GBNF that lets a summary be a list of up to 12 words, in the form `labels_text.parse_label_list` reads."""

_SCORE: Mapping[tuple[Language, Overlap], str] = {
    ("en", "clues"): (
        "Two descriptions of the same person are given, a true one and a predicted one.\n"
        "1. Summarise what the true description says about the emotional state and its clues.\n"
        "2. Summarise the same of the predicted description.\n"
        "3. Rate how much they overlap, from 1 (nothing in common) to 10 (the same).\n"
        "4. Answer with the number alone.\n\n"
        "True description: {truth}\n\nPredicted description: {predicted}\n\nRating:"
    ),
    ("en", "labels"): (
        "Two lists of emotion words for the same person are given, a true one and a predicted one. Words "
        "of the same meaning count as the same.\n"
        "Rate how much the lists overlap, from 1 (nothing in common) to 10 (the same), and answer with the "
        "number alone.\n\n"
        "True words: {truth}\n\nPredicted words: {predicted}\n\nRating:"
    ),
    ("zh", "clues"): (
        "下面是对同一个人的两段描述:真实描述和预测描述。\n"
        "1. 总结真实描述中的情感状态及其线索。\n"
        "2. 总结预测描述中的情感状态及其线索。\n"
        "3. 给两者的重合程度打分,1 表示毫无重合,10 表示完全一致。\n"
        "4. 只输出分数。\n\n"
        "真实描述:{truth}\n\n预测描述:{predicted}\n\n分数:"
    ),
    ("zh", "labels"): (
        "下面是描述同一个人的两组情感词:真实情感词和预测情感词。含义相同的词视为相同。\n"
        "给两组词的重合程度打分,1 表示毫无重合,10 表示完全一致,只输出分数。\n\n"
        "真实情感词:{truth}\n\n预测情感词:{predicted}\n\n分数:"
    ),
}
_SUMMARY: Mapping[Language, str] = {
    "en": (
        "Name the emotions that the person in the description feels, as a list of words and nothing else. "
        "What the person only shows, but does not feel, doesn't count.\n\n"
        "Description: Although he looks happy, he is in fact anxious.\nEmotions: [anxious]\n\n"
        "Description: {text}\nEmotions:"
    ),
    "zh": (
        "请列出描述中人物真实的情感词,只输出列表。仅仅表现出来而并非真实感受的情感不算。\n\n"
        "描述:他虽然看起来很高兴,但是实际上很焦虑。\n情感词:[焦虑]\n\n"
        "描述:{text}\n情感词:"
    ),
}


@dataclass(frozen=True)
class PromptJudge:
    """Asks for a number from 1 to 10, in the language of the descriptions.

    Attributes:
        name: the model and what else decides its answers; goes into every result.
        ask: prompt -> answer, best with SCORE_GRAMMAR and greedy decoding.
        language: of the prompt.
    """

    name: str
    ask: Ask
    language: Language = "en"

    def __call__(self, truth: str, predicted: str, overlap: Overlap, /) -> float | None:
        """The number in the answer, None if there is none."""
        return parse_judgement(self.ask(score_prompt(truth, predicted, overlap, self.language)))


@dataclass(frozen=True)
class PromptSummary:
    """Asks for the emotion words of a description, as EMER does before it compares labels.

    Attributes:
        ask: prompt -> answer, best with WORDS_GRAMMAR and greedy decoding.
        language: of the prompt.
    """

    ask: Ask
    language: Language = "en"

    def __call__(self, text: str, /) -> str:
        """The answer, stripped."""
        return self.ask(_SUMMARY[self.language].format(text=text)).strip()


@dataclass(frozen=True)
class StoredJudge:
    """Replays scores given before, for tests and for judgements that cost money.

    Attributes:
        name: who gave them.
        scores: (truth, predicted, overlap) -> score or None.
    """

    name: str
    scores: Mapping[tuple[str, str, Overlap], float | None]

    def __call__(self, truth: str, predicted: str, overlap: Overlap, /) -> float | None:
        """The stored score.

        Raises:
            InputError: this pair was never judged.
        """
        try:
            return self.scores[truth, predicted, overlap]
        except KeyError as error:
            raise InputError(f"{self.name} has no stored score for a pair of texts.", truth[:60]) from error


def score_prompt(truth: str, predicted: str, overlap: Overlap, language: Language = "en") -> str:
    """The prompt that asks for the overlap of two texts."""
    return _SCORE[language, overlap].format(truth=truth, predicted=predicted)
