"""Vosk as a transcriber: small offline models for some twenty languages. The only import of vosk.

Knows vosk's recogniser and its JSON. Knows no stream. The model is a folder that the user has downloaded from
https://alphacephei.com/vosk/models; nothing is fetched here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import GenerationError, InputError
from emer_edge.live.transcribe import RATE, Said


class VoskTranscriber:
    """A `Transcriber` by Vosk. One stream, one thread.

    Args:
        model: folder of an unpacked Vosk model.

    Raises:
        InputError: vosk is not installed, or the folder is no model.
    """

    def __init__(self, model: str | Path) -> None:
        try:
            import vosk
        except ImportError as error:
            raise InputError(
                "Vosk is not installed.", str(error), "Install it: pip install 'emer-edge[live]'"
            ) from error
        if not Path(model).is_dir():
            raise InputError(
                f"{model} is not a folder.",
                todo="Unpack a model of https://alphacephei.com/vosk/models there.",
            )
        vosk.SetLogLevel(-1)
        try:
            self._recogniser = vosk.KaldiRecognizer(vosk.Model(str(model)), RATE)
        except Exception as error:  # vosk raises a bare Exception
            raise InputError(f"{model} is no model of Vosk.", str(error), "Download another.") from error
        self._recogniser.SetWords(True)
        self._began = 0.0
        self._fed = 0.0

    def feed(self, samples: NDArray[np.float32]) -> list[Said]:
        """Take the next sound, as `Transcriber.feed`. Raises GenerationError where vosk gives up."""
        data = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
        self._fed += len(samples) / RATE
        if self._recogniser.AcceptWaveform(data):
            return self._final(self._recogniser.Result())
        words = _parsed(self._recogniser.PartialResult()).get("partial", "")
        return [Said(words, self._began, self._fed, final=False)] if words else []

    def finish(self) -> list[Said]:
        """The rest, as `Transcriber.finish`."""
        out = self._final(self._recogniser.FinalResult())
        self._recogniser.Reset()
        self._began = self._fed = 0.0
        return out

    def _final(self, text: str) -> list[Said]:
        result = _parsed(text)
        words = result.get("result") or []
        began, self._began = self._began, self._fed
        if not result.get("text"):
            return []
        # The whole has the start of its partial texts, so that it takes their place.
        end = float(words[-1]["end"]) if words else self._fed
        return [Said(str(result["text"]), began, max(began, min(end, self._fed)))]


def _parsed(text: str) -> dict[str, Any]:
    try:
        out = json.loads(text)
    except ValueError as error:
        raise GenerationError("Vosk answered with something else than JSON.", str(error)) from error
    return out if isinstance(out, dict) else {}
