"""Ctrl-C and SIGTERM while a clip is worked on. Knows signals and a cancel token, no clip.

Native code can keep the main thread for seconds, and Python runs signal handlers only there. So the C-level
handler writes into a pipe, and a thread of ours reads it: it cancels at once, whatever the main thread does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Protocol

PATIENCE_SECONDS = 0.7
"""How long a cancelled run may take to end by itself; then the process ends."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Cancellable(Protocol):
    """What can be asked to stop."""

    def cancel(self) -> None:
        """Ask to stop."""


class Stop:
    """While it is open, the first signal cancels `token`; a second one, or no end in time, ends the process.

    Args:
        token: cancelled by the first signal.
        last_words: called before the process is ended, to save what is finished; must be short.
    """

    def __init__(self, token: Cancellable, last_words: Callable[[], None] = lambda: None) -> None:
        self._token = token
        self._last_words = last_words
        self._old_handlers: dict[signal.Signals, Any] = {}
        self._old_wakeup = -1
        self._reader, self._writer = socket.socketpair()
        self._watcher = threading.Thread(target=self._watch, name="emer-edge-stop", daemon=True)
        self._installed = False

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._writer.setblocking(False)
            self._old_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            self._old_handlers = {number: signal.signal(number, _stay) for number in SIGNALS}
            self._watcher.start()
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.set_wakeup_fd(self._old_wakeup)
            for number, handler in self._old_handlers.items():
                signal.signal(number, handler)
            with contextlib.suppress(OSError):
                self._writer.send(b"\0")
            self._watcher.join()
        self._reader.close()
        self._writer.close()

    def _watch(self) -> None:
        if not self._wait_for_signal(None):
            return
        self._token.cancel()
        if self._wait_for_signal(PATIENCE_SECONDS) is False:
            return  # the run ended by itself
        with contextlib.suppress(Exception):
            self._last_words()
        with contextlib.suppress(OSError):
            os.write(2, b"\nInterrupted.\n")
        os._exit(130)  # the main thread is inside native code and can't be asked again

    def _wait_for_signal(self, seconds: float | None) -> bool | None:
        """True for a signal, False for the end of the run, None when the time is over."""
        while select.select([self._reader], [], [], seconds)[0]:
            data = self._reader.recv(64)
            if any(number in data for number in SIGNALS):
                return True
            if not data or 0 in data:
                return False
        return None


def _stay(_number: int, _frame: FrameType | None) -> None:
    """A handler that does nothing: without one, no byte would be written into the pipe."""
