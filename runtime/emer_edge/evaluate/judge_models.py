"""Who judges: a local GGUF through our own runtime, or an endpoint that the user names.

Knows how to put one prompt to either and get a short answer. Does not know what is compared. A local judge
can't answer anything but what a grammar allows; an endpoint is asked for the same and its answer read as it
comes. Nothing is sent anywhere but to the address that was passed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from emer_edge.errors import DeviceError, InputError
from emer_edge.evaluate.overlap_judge import SCORE_GRAMMAR, WORDS_GRAMMAR
from emer_edge.llm.context import Branch
from emer_edge.llm.generate import Generation
from emer_edge.llm.gguf import Llm
from emer_edge.llm.grammar import Constrained
from emer_edge.llm.sampling import GenerationOptions
from emer_edge.strict_json import StrictJsonError, parse_json

Kind: TypeAlias = Literal["score", "words"]
KEY_VARIABLE = "EMER_EDGE_JUDGE_KEY"
"""Environment variable with the endpoint's key; it is sent to that endpoint and written nowhere."""
GRAMMARS: Mapping[Kind, str] = MappingProxyType({"score": SCORE_GRAMMAR, "words": WORDS_GRAMMAR})
_TOKENS: Mapping[Kind, int] = MappingProxyType({"score": 4, "words": 96})
_ANSWER_BYTES = 1024**2
_TRIES, _FIRST_WAIT_SECONDS, _PATIENCE_SECONDS = 5, 1.0, 120.0
_AGAIN = frozenset({429, 500, 502, 503, 504})


class JudgeModel(Protocol):
    """Answers prompts, always alike."""

    @property
    def name(self) -> str:
        """The model and what else decides its answers; goes into every result."""
        ...

    def answer(self, prompt: str, kind: Kind) -> str:
        """A number from 1 to 10 (`score`), or a list of emotion words (`words`)."""
        ...

    def close(self) -> None:
        """Give back what it holds; may be called again."""
        ...


class LocalModel:
    """A GGUF file, asked greedily under a grammar; instruction models by their own chat template.

    Args:
        path: the file.
        device: `cpu` or `cuda`.
        threads: CPU threads at most.

    Raises:
        PackError: the file can't be used. DeviceError: the device can't be had.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        self._llm = Llm(path, n_ctx=0, threads=threads or min(8, os.cpu_count() or 1), device=device, n_seq=1)
        self.name = f"{path.name}, sha256 {_digest(path)}, greedy, grammar"

    def answer(self, prompt: str, kind: Kind) -> str:
        """As `JudgeModel`.

        Raises:
            LimitError: the prompt does not fit the model's context. GenerationError: the model failed.
        """
        llm = self._llm
        ids = np.array(llm.tokenize_chat(prompt), np.int32)
        llm.reset()
        last = len(ids) - 1
        llm.decode(ids, np.arange(len(ids)), [(0,)] * len(ids), np.arange(len(ids)) == last)
        source = Constrained(Branch(llm, 0, llm.logits(last)), llm.grammar(GRAMMARS[kind]))
        return "".join(Generation(source, GenerationOptions(_TOKENS[kind])))

    def close(self) -> None:
        """Free the model."""
        self._llm.close()


class Endpoint:
    """A server that speaks OpenAI's chat completions, at the address the user names.

    Args:
        address: up to and with `/v1`, http or https; redirects are refused.
        model: as the server calls it.
        key: sent as a bearer token where it is not empty.

    Raises:
        InputError: no such address, or no model.
    """

    def __init__(self, address: str, model: str, key: str = "") -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise InputError(f"{address!r:.80} is no address of a judge.", todo="Use http(s)://HOST/v1.")
        if not model:
            raise InputError("The judge's model is not named.", todo="Name it with --judge-model.")
        self._address = address.rstrip("/") + "/chat/completions"
        self._model, self._key = model, key
        self._opener = urllib.request.build_opener(_NoRedirect)
        self.name = f"{model} at {parts.hostname}, temperature 0"

    def answer(self, prompt: str, kind: Kind) -> str:
        """As `JudgeModel`.

        Raises:
            DeviceError: the server can't be reached, refuses, or answers something else.
        """
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "seed": 0,
            "max_tokens": _TOKENS[kind] * 4,
        }
        reply = self._post(json.dumps(body).encode())
        try:
            text = parse_json(reply)["choices"][0]["message"]["content"]
        except (StrictJsonError, KeyError, IndexError, TypeError) as error:
            raise DeviceError("The judge's server answers something else.", f"{reply[:80]!r}") from error
        return text.strip() if isinstance(text, str) else ""

    def close(self) -> None:
        """Hold nothing."""

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        why = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
            request = urllib.request.Request(self._address, body, headers)
            try:
                with self._opener.open(request, timeout=_PATIENCE_SECONDS) as response:
                    data: bytes = response.read(_ANSWER_BYTES)
                    return data
            except urllib.error.HTTPError as error:
                why = f"It answers {error.code} {error.reason}."
                if error.code not in _AGAIN:
                    break
            except (OSError, ValueError) as error:
                why = str(getattr(error, "reason", error))
        raise DeviceError("The judge's server can't be asked.", why, "Check the address and the key.")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key and the texts go to the host that was named, and to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def open_judge(where: str, model: str = "", device: str = "cpu", threads: int | None = None) -> JudgeModel:
    """A judge by what the user wrote: the path of a GGUF file, or the address of a server.

    Args:
        where: path, or `http(s)://HOST/v1`.
        model: the server's name of it; servers only.
        device: of a local model.
        threads: of a local model.

    Raises:
        InputError, PackError, DeviceError.
    """
    if where.startswith(("http://", "https://")):
        return Endpoint(where, model, os.environ.get(KEY_VARIABLE, ""))
    if model:
        raise InputError("--judge-model goes with the address of a server.", todo="Leave it out.")
    if not Path(where).is_file():
        raise InputError(f"There is no judge {where}.", todo="Name a GGUF file, or http(s)://HOST/v1.")
    return LocalModel(Path(where), device=device, threads=threads)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
