"""The prompt of emer-nano: which text stands round which soft token, and what is left out when a modality
is absent.

Knows the template that goes into the manifest and how it splits into pieces; the runtime does the same from
the manifest alone. Does not know tokens or models.
"""

from __future__ import annotations

# AffectGPT's order of parts, in few tokens. A piece ends where the tokeniser splits anyway (the newline
# stays with the sign before it), so tokenising prefix and question apart or together gives the same ids.
PARTS: tuple[dict[str, object], ...] = (
    {"text": "###Human:"},
    {"text": " Multi:<MultiHere>", "needs": ["vision", "audio"]},
    {"text": " Audio:<AudioHere>", "needs": ["audio"]},
    {"text": " Video:<FaceHere>", "needs": ["vision"]},
    {"text": " Subtitle: {subtitle}", "needs": ["subtitle"]},
    {"text": "\n{question} ###Assistant:"},
)
MARKERS = {"<MultiHere>": "multi", "<AudioHere>": "audio", "<FaceHere>": "vision"}
ANSWER_END = " ###"


def prefix(*, vision: bool, audio: bool, subtitle: str | None) -> list[str]:
    """Return text pieces and markers ("<FaceHere>") in order, up to where the question begins."""
    given = {"vision": vision, "audio": audio, "subtitle": subtitle is not None}
    text = ""
    for part in PARTS:
        needs = part.get("needs", [])
        if isinstance(needs, list) and all(given[name] for name in needs):
            text += str(part["text"])
    text = text[: text.index("{question}")]
    pieces = [text]
    for marker in MARKERS:
        pieces = [bit for piece in pieces for bit in _split(piece, marker)]
    return [
        piece if piece in MARKERS else piece.replace("{subtitle}", subtitle or "")
        for piece in pieces
        if piece
    ]


def _split(piece: str, marker: str) -> list[str]:
    if piece in MARKERS or marker not in piece:
        return [piece]
    before, after = piece.split(marker, 1)
    return [before, marker, after]


def question_tail(question: str) -> str:
    """Return the text that follows the prefix: the question and the assistant's turn."""
    return question + str(PARTS[-1]["text"]).split("{question}", 1)[1]


def pieces(question: str) -> list[str]:
    """Return every text piece of a full prompt, for the vocabulary."""
    return [*prefix(vision=True, audio=True, subtitle="so"), question_tail(question)]
