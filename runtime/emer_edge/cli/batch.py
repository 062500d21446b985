"""A run of `infer` over one clip or many: what is checked first, what happens on a failure, how it ends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emer_edge.cli.answer import Answer
from emer_edge.cli.border import as_emer_error, report
from emer_edge.cli.inputs import collect_clips, refuse_url
from emer_edge.cli.outputs import Outputs
from emer_edge.cli.progress import Progress
from emer_edge.cli.stop import Stop
from emer_edge.cli.terminal import ClosedOutputError, Terminal, one_line
from emer_edge.config import Settings, variable
from emer_edge.errors import Cancelled, EmerError, InputError

if TYPE_CHECKING:
    import emer_edge as ee


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a call of `infer` asks for."""

    arguments: tuple[str, ...]
    settings: Settings
    question: str = "explain"
    subtitle: str | None = None
    """A file or words; None looks beside and inside the clip; empty means none."""
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int = 0
    as_json: bool = False
    formats: tuple[str, ...] = ()
    folder: Path = Path()
    force: bool = False
    keep_going: bool = False
    timings: bool = False
    quiet: bool = False
    debug: bool = False


def run(request: Request) -> int:
    """Answer every clip and give the exit code.

    Raises:
        EmerError: the call makes no sense, the pack or the device can't be had, or standard output failed.
    """
    clips = collect_clips(request.arguments, keep_going=request.keep_going)
    _check_words(request, clips)
    outputs = Outputs(request.formats, request.folder, force=request.force, timings=request.timings)
    outputs.check(clips)
    use_packs_folder(request.settings)
    return Batch(request, clips, outputs).run()


def use_packs_folder(settings: Settings) -> None:
    """Let the pack store see the folder that the settings name."""
    folder = settings.text("packs")
    if folder is not None:
        os.environ[variable("packs")] = folder


def _check_words(request: Request, clips: list[str]) -> None:
    if not request.question.strip():
        raise InputError(
            "The question is empty.", todo="Ask labels, explain, sentiment or a question in words."
        )
    if request.subtitle:
        refuse_url(request.subtitle)
        if len(clips) > 1:
            raise InputError(
                f"--subtitle belongs to one clip, and {len(clips)} were named.",
                todo="Put a subtitle beside each clip, as clip.srt beside clip.mp4.",
            )


class Batch:
    """The clips of one run and what became of them."""

    def __init__(self, request: Request, clips: list[str], outputs: Outputs) -> None:
        self._request = request
        self._clips = clips
        self._outputs = outputs
        self._terminal = Terminal.look()
        self._progress = Progress(self._terminal, quiet=request.quiet)
        self._answered = 0
        self._failures: list[EmerError] = []

    def run(self) -> int:
        """Load the pack, answer the clips, say how it ended."""
        import emer_edge as ee

        token = ee.CancelToken()
        settings = self._request.settings
        with Stop(token, last_words=self._last_words):
            self._progress.start("emer-edge")
            self._progress.stage("load")
            reasoner = ee.load(
                settings.text("pack") or "",
                device=settings.text("device") or "cpu",
                threads=settings.threads,
                decoder=settings.text("decoder") or "auto",
            )
            with reasoner:
                self._say_what_runs(reasoner)
                try:
                    self._all(reasoner, token)
                except Cancelled as error:
                    self._failures.append(error)
                finally:
                    self._progress.clear()
                    self._save_lines()
        return self._end()

    def _all(self, reasoner: ee.Reasoner, token: ee.CancelToken) -> None:
        for place, clip in enumerate(self._clips, start=1):
            if token.cancelled:
                raise Cancelled("Interrupted.")
            self._progress.start(Path(clip).name, place, len(self._clips))
            try:
                self._one(reasoner, clip, token)
                self._answered += 1
            except (Cancelled, ClosedOutputError, BrokenPipeError):
                raise
            except Exception as error:
                if not isinstance(error, EmerError) and (self._request.debug or not self._request.keep_going):
                    raise
                failure = as_emer_error(error)
                self._failures.append(failure)
                report(failure)
                if not self._request.keep_going:
                    return

    def _one(self, reasoner: ee.Reasoner, clip: str, token: ee.CancelToken) -> None:
        import emer_edge as ee

        request = self._request
        several = len(self._clips) > 1
        answer = Answer(clip, self._progress, self._terminal, token, as_json=request.as_json, title=several)
        try:
            reasoning = reasoner.infer(
                clip,
                question=request.question,
                subtitle=request.subtitle,
                options=ee.Options(
                    max_tokens=request.max_tokens, temperature=request.temperature, seed=request.seed
                ),
                on_event=answer.on_event,
                cancel=token,
            )
        except Exception as error:
            if answer.failure is not None:
                raise answer.failure from error
            answer.fail(as_emer_error(error))
            raise
        if answer.failure is not None:
            raise answer.failure
        answer.finish(reasoning, timings=request.timings)
        for path in self._outputs.write(clip, reasoning):
            self._progress.note(f"wrote {one_line(str(path))}")

    def _say_what_runs(self, reasoner: ee.Reasoner) -> None:
        self._progress.clear()
        pack = reasoner.manifest
        self._progress.note(
            one_line(f"pack {pack.name} {pack.version} on {reasoner.device}, {reasoner.threads} threads")
        )

    def _save_lines(self) -> None:
        for path in self._outputs.finish():
            self._progress.note(f"wrote {one_line(str(path))}")

    def _last_words(self) -> None:
        """Save finished results before the process is ended; takes no lock that another thread may hold."""
        self._outputs.finish()

    def _end(self) -> int:
        """Say how a run over several clips ended, and give the exit code."""
        total = len(self._clips)
        interrupted = any(isinstance(failure, Cancelled) for failure in self._failures)
        failed = len(self._failures) - interrupted
        if total > 1:
            left = total - self._answered - failed
            parts = [f"{self._answered} of {total} clips answered"]
            parts += [f"{failed} failed"] if failed else []
            parts += [f"{left} not done"] if left else []
            self._progress.note(", ".join(parts))
        if interrupted:
            raise KeyboardInterrupt
        if not self._failures:
            return 0
        return 1 if self._request.keep_going and total > 1 else self._failures[0].exit_code
