"""Sentence encoders for cue matching: a bag of words of our own, or any function that the user names.

Knows words and vectors. Does not know cues. EmoCue-360 is published with all-MiniLM-L6-v2, which is not part
of this project; docs/evaluation.md shows how to name it.
"""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.evaluate.overlap_cues import SentenceEncoder

_WIDTH = 8192
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_EMPTY_WORDS = (
    "a an and are as at be been but by for from has have he her his in is it its of on or she that the their "
    "they this to was were which while with"
)
_EMPTY = frozenset(_WORDS.findall(_EMPTY_WORDS))
_ENDINGS = ("ing", "edly", "ed", "ly", "es", "s")


@dataclass(frozen=True)
class WordBag:
    """Counts words without their endings; texts that share no word are at right angles.

    It finds the same words, never the same meaning: "grin" and "smile" don't match.
    """

    name: str = "bag of words of emer-edge, 1"

    def encode(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return float32 [texts, 8192]; words are placed by their checksum."""
        vectors = np.zeros((len(texts), _WIDTH), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in _WORDS.findall(text.casefold()):
                if word not in _EMPTY:
                    row[zlib.crc32(_stem(word).encode()) % _WIDTH] += 1
        return vectors


@dataclass(frozen=True)
class Foreign:
    """A function texts -> vectors that lives elsewhere."""

    name: str
    function: Callable[[list[str]], object]

    def encode(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Return what the function gives, as float32.

        Raises:
            InputError: it fails, or gives no numbers.
        """
        try:
            vectors: NDArray[np.float32] = np.asarray(self.function(list(texts)), np.float32)
        except Exception as error:  # whose code this is nobody knows
            raise InputError(
                f"The sentence encoder {self.name} failed.", f"{type(error).__name__}: {error}"
            ) from error
        return vectors


def load_encoder(name: str = "words") -> SentenceEncoder:
    """`words`, or `module:function` with a function from a list of texts to vectors [texts, width].

    Raises:
        InputError: there is no such module or function.

    >>> load_encoder().encode(["He smiles.", "smiling"]).shape
    (2, 8192)
    """
    if name == "words":
        return WordBag()
    module, colon, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise InputError(
            f"There is no sentence encoder {name!r}.",
            f"{type(error).__name__}: {error}" if colon else "",
            "Use words, or module:function.",
        ) from error
    if not callable(found):
        raise InputError(f"{name} can't be called.")
    return Foreign(name, found)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 3 else word
