"""The prompt as the published code writes it: one text with special tokens in it, tokenised whole by
Hugging Face.

Knows the manifest's template and tokenizer.json. Does not know how the runtime splits a prompt, which is
what it is there to check.
"""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer

from emer_edge.llm.gguf import Llm
from emer_edge.llm.prompt import Prompt, layout
from emer_edge.packs.manifest import Manifest


class PublishedPrompt:
    """Prompts of one model.

    Args:
        manifest: of the pack; its parts, markers and labels.
        tokenizer: the published tokenizer.json.
    """

    def __init__(self, manifest: Manifest, tokenizer: Path) -> None:
        self._manifest = manifest
        self._plain = Tokenizer.from_file(str(tokenizer))
        # As upstream: markers are added to the vocabulary, and each of their ids is then overwritten by
        # its vector.
        self._marked = Tokenizer.from_file(str(tokenizer))
        markers = manifest.prompt.markers
        self._marked.add_special_tokens([AddedToken(marker, normalized=False) for marker in markers])
        # Llama's published code cuts the prompt at the markers and tokenises each piece on its own.
        self._apart = manifest.llm.architecture == "llama"
        self._bos = [int(self._plain.token_to_id("<s>"))] if manifest.prompt.add_bos else []
        self._soft = {self._marked.token_to_id(marker): name for marker, name in markers.items()}

    def encode(self, text: str) -> list[int]:
        """Ids of a text on its own, without special tokens."""
        return [int(number) for number in self._plain.encode(text, add_special_tokens=False).ids]

    def ids(self, present: Set[str], subtitle: str, question: str) -> list[int | str]:
        """The whole prompt; the name of a soft token where its vector stands."""
        prompt = self._manifest.prompt
        text = "".join(part.text for part in prompt.parts if set(part.needs) <= present)
        # Filled in last, as an f-string is: what a subtitle says is never a field.
        pieces = text.replace("{question}", question).split("{subtitle}")
        if self._apart:
            return [*self._bos, *self._cut(subtitle.join(pieces))]
        found = self._marked.encode(subtitle.join(pieces), add_special_tokens=False).ids
        return [*self._bos, *(self._soft.get(number, int(number)) for number in found)]

    def _cut(self, text: str) -> list[int | str]:
        markers = self._manifest.prompt.markers
        found: list[int | str] = []
        for piece in re.split("(" + "|".join(map(re.escape, markers)) + ")", text):
            found += [markers[piece]] if piece in markers else self.encode(piece) if piece else []
        return found

    def label_paths(self) -> dict[str, list[int]]:
        """Ids that follow the beginning of the answer, for each candidate label."""
        rule = self._manifest.labels
        begun = self.encode(rule.answer_prefix)
        paths = {}
        for label in rule.candidates:
            whole = self.encode(rule.answer_prefix + rule.joiner + label)
            joined = whole[: len(begun)] != begun
            paths[label] = self.encode(rule.joiner + label) if joined else whole[len(begun) :]
        return paths

    @staticmethod
    def rows(prompt: Prompt, soft: dict[str, NDArray[np.float32]], llm: Llm) -> NDArray[np.float32]:
        """The rows that the runtime lays for a prompt."""
        bos = llm.bos if prompt.add_bos else None
        return llm.lay(layout((*prompt.prefix, *prompt.tail), llm.tokenize, soft, bos=bos))
