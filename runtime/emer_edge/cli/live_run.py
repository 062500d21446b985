"""One run of `emer-edge live`: a source pushes in one thread, events are shown in another."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.cli.batch import use_packs_folder
from emer_edge.cli.live_view import View
from emer_edge.cli.stop import Stop
from emer_edge.cli.terminal import Terminal, one_line, say
from emer_edge.config import Settings
from emer_edge.errors import EmerError

if TYPE_CHECKING:
    import emer_edge as ee
    from emer_edge.live.options import LiveSettings
    from emer_edge.live.session import LiveSession
    from emer_edge.live.sources import Source


@dataclass(frozen=True, slots=True)
class Request:
    """What the flags ask for."""

    source: str
    settings: Settings
    microphone: str | None
    window: float
    hop: float
    deadline: float | None
    policy: str | None
    reasoning: str | float
    without_speech: bool
    question: str
    max_tokens: int | None
    transcribe: str | None
    language: str
    fast: bool
    loop: bool
    seconds: float | None
    no_subtitle: bool
    allow_network: bool
    as_json: bool
    record: Path | None
    force: bool
    quiet: bool


class _Ending:
    """Something that a signal can cancel: the source, and with it the run."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.interrupted = False

    def cancel(self) -> None:
        """Stop the source; the session then works off what it has."""
        self.interrupted = True
        self.stop.set()


def run(request: Request) -> int:
    """Watch until the source ends, a signal comes, or the time is over."""
    import emer_edge as ee
    from emer_edge.live.sources import open_source

    use_packs_folder(request.settings)
    source = open_source(
        request.source,
        realtime=not request.fast,
        loop=request.loop,
        microphone=request.microphone,
        subtitle="" if request.no_subtitle else None,
        allow_network=request.allow_network,
    )
    ending = _Ending()
    with Stop(ending), ExitStack() as stack:
        settings = request.settings
        reasoner = stack.enter_context(
            ee.load(
                settings.text("pack") or "",
                device=settings.text("device") or "cpu",
                threads=settings.threads,
                decoder=settings.text("decoder") or "auto",
            )
        )
        failure = _watch(request, reasoner, source, ending, stack)
    if ending.interrupted:
        raise KeyboardInterrupt
    if failure is not None:
        raise failure
    return 0


def _watch(
    request: Request, reasoner: ee.Reasoner, source: Source, ending: _Ending, stack: ExitStack
) -> BaseException | None:
    """Show events until there are none; returns what ended it early."""
    from emer_edge.live.record import Recorder, session_record

    live = reasoner.live(**_settings(request))
    stack.callback(live.close, drain=False)
    view = View(Terminal.look(), as_json=request.as_json, quiet=request.quiet)
    manifest, header = reasoner.manifest, session_record(reasoner.manifest, live.options)
    recorder = None
    if request.record is not None:
        recorder = stack.enter_context(Recorder(request.record, header, overwrite=request.force))
    if not request.quiet:
        say(one_line(f"pack {manifest.name} {manifest.version} on {reasoner.device}; Ctrl-C ends it"))
    view.begin(header)
    pusher = _Pusher(source, live, ending.stop, request.seconds)
    pusher.start()
    try:
        for event in live:
            if recorder is not None:
                recorder.write(event)
            view.show(event)
    finally:
        ending.stop.set()
        view.end()
    pusher.join(5)
    if not request.quiet:
        say(one_line(view.summary(live.stats())))
    return pusher.failure or view.fatal


class _Pusher(threading.Thread):
    """Runs the source, and closes the session when it ends."""

    def __init__(
        self, source: Source, live: LiveSession, stop: threading.Event, seconds: float | None
    ) -> None:
        super().__init__(name="emer-edge-source", daemon=True)
        self._source, self._live, self._halt, self._seconds = source, live, stop, seconds
        self.failure: EmerError | None = None

    def run(self) -> None:
        """Push; what fails is kept for whoever waits."""
        timer = threading.Timer(self._seconds or 0, self._halt.set)
        timer.daemon = True
        if self._seconds is not None:
            timer.start()
        try:
            self._source.run(self._live, self._halt)
        except EmerError as error:
            if not self._live.closed:
                self.failure = error
        except Exception as error:
            self.failure = EmerError(
                "The source failed in a way it should not.", f"{type(error).__name__}: {error}"
            )
        finally:
            timer.cancel()
            self._live.close(timeout=_drain_seconds(self._halt))


def _drain_seconds(stop: threading.Event) -> float:
    """After Ctrl-C there is little patience; at the end of a file there is much."""
    return 0.4 if stop.is_set() else 3600.0


def _settings(request: Request) -> LiveSettings:
    out: dict[str, Any] = {
        "window_seconds": request.window,
        "hop_seconds": request.hop,
        "deadline_seconds": request.deadline,
        "policy": request.policy or ("block" if request.fast else "drop_oldest"),
        "reasoning": request.reasoning,
        "question": request.question,
        "max_tokens": request.max_tokens,
        "language": request.language,
    }
    if request.without_speech:
        out["speech"] = None
    if request.transcribe is not None:
        from emer_edge.live.vosk import VoskTranscriber

        out["transcriber"] = VoskTranscriber(request.transcribe)
    return out  # type: ignore[return-value]
