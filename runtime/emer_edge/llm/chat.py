"""One turn of a chat, as the model's own template words it.

Knows llama.cpp's chat templates through the bindings it is given. Does not know what is asked. What a person
or another model wrote never becomes a control token: only the template's own words may.
"""

from __future__ import annotations

import ctypes
from typing import Any

from emer_edge.errors import InputError
from emer_edge.llm.vocabulary import Vocabulary

_PLACE = "\N{BLACK SQUARE}content\N{BLACK SQUARE}"


def chat_tokens(api: Any, model: Any, vocabulary: Vocabulary, text: str) -> list[int]:
    """Token ids of one question, up to the beginning of its answer; see `Llm.tokenize_chat`."""
    frame, words = _chat_frame(api, model), vocabulary.tokenize(text)
    head = [vocabulary.bos] if vocabulary.bos is not None and vocabulary.adds_bos else []
    if frame is None:
        return [*head, *words]
    before, after = (vocabulary.tokenize(part, control=True) for part in frame)
    return [*(before if before[:1] == head else [*head, *before]), *words, *after]


def _chat_frame(api: Any, model: Any) -> tuple[str, str] | None:
    """What stands before and after the words of the user, up to the beginning of the answer.

    None where the model file brings no template, as base models and the models of packs don't.

    Raises:
        InputError: llama.cpp does not know the file's template.
    """
    template = api.llama_model_chat_template(model, None)
    if not template:
        return None
    message = api.llama_chat_message(role=b"user", content=_PLACE.encode())
    room = 4096
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = api.llama_chat_apply_template(template, ctypes.byref(message), 1, True, buffer, room)
        if size < 0:
            raise InputError("llama.cpp does not know the chat template of this model.", str(template[:80]))
        if size <= room:
            before, place, after = buffer.raw[:size].decode("utf-8", "replace").partition(_PLACE)
            if not place:
                raise InputError("The chat template of this model leaves out what is asked.")
            return before, after
        room = size
