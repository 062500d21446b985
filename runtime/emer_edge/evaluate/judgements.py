"""Judgements on disk: what a judge answered to a prompt, kept, so that no prompt is paid for twice.

Knows a JSON-lines file of digests and answers, safe from a kill at any moment. Does not know judges.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from emer_edge.errors import InputError, OutputError
from emer_edge.evaluate.judge_models import JudgeModel, Kind
from emer_edge.evaluate.run_files import open_file
from emer_edge.evaluate.tables import json_row


class Judgements:
    """Asks a judge once for each prompt, and remembers, also across calls where there is a file.

    Args:
        model: who is asked.
        path: of the file; None remembers for this call alone. Answers of other judges in it stay and are not
            used.
        told: called with the number of prompts asked so far.

    Raises:
        InputError: the file holds something else. OutputError: it can't be opened for writing.
    """

    def __init__(
        self, model: JudgeModel, path: Path | None = None, told: Callable[[int], None] = lambda _count: None
    ) -> None:
        self._model = model
        self._told = told
        self._known: dict[str, str] = {}
        self._path = path
        self._handle: IO[bytes] | None = None
        self.asked = 0
        if path is not None:
            if path.is_file():
                self._read(path)
            self._handle = open_file(path, "ab")

    @property
    def name(self) -> str:
        """Of the judge."""
        return self._model.name

    def answer(self, prompt: str, kind: Kind) -> str:
        """The judge's answer, as it was given the first time.

        Raises:
            EmerError: whatever the judge raises; OutputError: it can't be kept.
        """
        text = json.dumps([self.name, kind, prompt], ensure_ascii=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest not in self._known:
            answer = self._model.answer(prompt, kind)
            self.asked += 1
            self._keep(digest, answer)
            self._told(self.asked)
        return self._known[digest]

    def close(self) -> None:
        """Close the file and the judge; may be called again."""
        if self._handle is not None:
            self._handle.close()
        self._model.close()

    def _keep(self, digest: str, answer: str) -> None:
        self._known[digest] = answer
        if self._handle is None:
            return
        line = json.dumps({"prompt": digest, "judge": self.name, "answer": answer}) + "\n"
        try:
            self._handle.write(line.encode())
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError as error:
            raise OutputError(f"Can't write {self._path}.", error.strerror or str(error)) from error

    def _read(self, path: Path) -> None:
        with open_file(path, "rb") as handle:
            data = handle.read()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            row = json_row(path, number, line)
            prompt, answer = row.get("prompt"), row.get("answer")
            if not isinstance(prompt, str) or not isinstance(answer, str):
                raise InputError(f"{path}, line {number} is no judgement.")
            self._known[prompt] = answer
        if len(whole) < len(data):  # torn by a kill; what comes next must begin on a line of its own
            try:
                os.truncate(path, len(whole))
            except OSError as error:
                raise OutputError(f"Can't write {path}.", error.strerror or str(error)) from error
