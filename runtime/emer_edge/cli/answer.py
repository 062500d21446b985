"""One clip's answer on the two streams: text as it comes, then labels; or one line of JSON.

Knows events and results; knows nothing of how they came to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emer_edge.cli.progress import Progress
from emer_edge.cli.terminal import Terminal, one_line, put, safe
from emer_edge.errors import Cancelled, EmerError
from emer_edge.writers import records

if TYPE_CHECKING:
    from emer_edge.cli.stop import Cancellable
    from emer_edge.pipeline import Event
    from emer_edge.results import Emotion, Reasoning, Used


class Answer:
    """Shows one clip while it is worked on, and when it is done.

    Args:
        clip: its name, as it was given.
        progress: where stages and notes go.
        terminal: what the streams can show.
        token: cancelled when standard output can't be written any more.
        as_json: one line of JSON instead of text and labels.
        title: say the clip's name before its answer.
    """

    def __init__(
        self,
        clip: str,
        progress: Progress,
        terminal: Terminal,
        token: Cancellable,
        *,
        as_json: bool,
        title: bool,
    ) -> None:
        self._clip = clip
        self._progress = progress
        self._terminal = terminal
        self._token = token
        self._as_json = as_json
        self._title = title
        self._streamed = ""
        self._missing: tuple[str, ...] = ()
        self.failure: BaseException | None = None
        """Why the answer could not be shown; the run ends with it."""

    def on_event(self, event: Event) -> None:
        """Show one event. Never raises: a stream that failed cancels the work and is kept in `failure`."""
        if self.failure is not None:
            return
        try:
            self._show(event)
        except (OSError, EmerError) as error:
            self.failure = error
            self._token.cancel()

    def finish(self, reasoning: Reasoning, *, timings: bool) -> None:
        """Show what the events did not: the labels with their confidences, or the line of JSON.

        Raises:
            BrokenPipeError, ClosedOutputError: standard output can't be written.
        """
        self._progress.clear()
        if self._as_json:
            ascii_only = not self._terminal.unicode
            put(records.to_json_line(reasoning, timings=timings, ascii_only=ascii_only))
        else:
            self._finish_text(reasoning)
        self._say_missing(reasoning.used)
        if timings:
            for line in records.timing_lines(reasoning):
                self._progress.note(f"  {line}")

    def fail(self, error: EmerError) -> None:
        """End an answer that never came: in JSON, its line says why."""
        self._progress.clear()
        if self._as_json:
            if not isinstance(error, Cancelled):
                put(records.failure_line(self._clip, error, ascii_only=not self._terminal.unicode))
        elif self._streamed and not self._streamed.endswith("\n"):
            put("\n")

    def _show(self, event: Event) -> None:
        if event.kind == "stage":
            self._progress.stage(event.stage)
        elif event.kind == "used" and event.used is not None:
            self._say_used(event.used)
        elif event.kind == "labels" and event.emotions:
            self._progress.hint(", ".join(records.label_line(emotion) for emotion in event.emotions))
        elif event.kind == "text" and event.text and not self._as_json:
            self._progress.clear()
            self._put_text(event.text)

    def _say_used(self, used: Used) -> None:
        """One line with what the answer rests on, one line for each thing that is missing."""
        parts = []
        if used.frames:
            faces = f" ({used.faces} with a face)" if used.faces else ""
            parts.append(f"{used.frames} frames{faces}")
        if used.audio_seconds:
            parts.append(f"{used.audio_seconds:.1f} s of sound")
        if used.subtitle:
            parts.append(f"subtitle from {used.subtitle_source or 'the call'}")
        if used.decoder:
            parts.append(f"decoder {used.decoder}")
        name = one_line(self._clip)
        self._progress.note(f"{name}: {one_line(', '.join(parts)) or 'nothing to rest on'}")
        self._say_missing(used)

    def _say_missing(self, used: Used) -> None:
        """One line for each thing that is missing and was not said yet: some is known at the end only."""
        for sentence in used.missing:
            if sentence not in self._missing:
                self._progress.note(f"{one_line(self._clip)}: {one_line(sentence)}")
        self._missing = used.missing

    def _put_text(self, text: str) -> None:
        if not self._streamed:
            self._put_title()
            text = text.lstrip()
        self._streamed += text
        put(safe(text))

    def _put_title(self) -> None:
        if self._title:
            put(f"{self._terminal.bold(one_line(self._clip), tty=self._terminal.out_is_tty)}\n")

    def _finish_text(self, reasoning: Reasoning) -> None:
        if not self._streamed and reasoning.text:
            self._put_text(reasoning.text)
        if self._streamed:
            put("\n\n" if not self._streamed.endswith("\n") else "\n")
        else:
            self._put_title()
        put(self._labels(reasoning.emotions))
        if len(reasoning.alone) > 1:
            put(f"alone: {one_line(', '.join(records.alone_lines(reasoning)))}\n")
        if self._title:
            put("\n")

    def _labels(self, emotions: tuple[Emotion, ...]) -> str:
        if not emotions:
            return "no emotion stands out\n"
        width = max(len(one_line(emotion.label)) for emotion in emotions)
        lines = []
        for emotion in emotions:
            label = one_line(emotion.label).ljust(width)
            if emotion.confidence is None:
                lines.append(f"{label}  named in the text")
                continue
            bar = f"{self._terminal.bar(emotion.confidence)}  " if self._terminal.out_is_tty else ""
            lines.append(f"{label}  {bar}{100 * emotion.confidence:3.0f} %")
        return "\n".join(lines) + "\n"
