"""Whose turn it is with one language model. Knows threads; does not know models."""

from __future__ import annotations

import threading
from collections.abc import Callable

from emer_edge.errors import InputError


class Turn:
    """Lets one thread in at a time, and none after the end; a held-up caller gets an error, not a wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = True

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise InputError(
                "Two threads use one language model at the same time.",
                todo="Give each its own, or take turns.",
            )
        try:
            if not self._open:
                raise InputError("The language model is closed.")
        except BaseException:  # an interrupt must not leave it locked either
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def end(self, free: Callable[[], object]) -> None:
        """Wait for whoever is in, then free; may be called again."""
        with self._lock:
            self._open = False
            free()
