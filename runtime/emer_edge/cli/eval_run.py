"""`eval run`: finds the clips, asks the pack about each, scores, and says how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.cli.batch import use_packs_folder
from emer_edge.cli.eval_options import take_data, take_scoring
from emer_edge.cli.eval_progress import Pace
from emer_edge.cli.eval_score import write_files
from emer_edge.cli.stop import Stop
from emer_edge.cli.terminal import Terminal, one_line, put, safe, say
from emer_edge.config import DEFAULTS, Settings, load_settings
from emer_edge.errors import Cancelled, InputError

if TYPE_CHECKING:
    import emer_edge as ee
    from emer_edge.evaluate.asking import Asked
    from emer_edge.evaluate.datasets import DataSet, Row
    from emer_edge.evaluate.outputs import Output
    from emer_edge.evaluate.runs import RunConfig, RunFolder

_LISTED = 10


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a call of `eval run` asks for; `flags` are those of data and scoring."""

    settings: Settings
    folder: Path
    media: Path | None
    flags: Mapping[str, Any]

    @classmethod
    def of(cls, flags: Mapping[str, Any]) -> Request:
        """From the flags of the command line."""
        settings = load_settings({name: flags.get(name) for name in DEFAULTS})
        media = Path(flags["media"]) if flags["media"] else None
        return cls(settings, Path(flags["output"]), media, flags)

    def asked(self) -> Asked:
        """How the pack is asked."""
        from emer_edge.evaluate.asking import Asked

        flags = self.flags
        return Asked(
            question=flags["question"],
            only=flags["only"] or "",
            text_only=flags["text_only"],
            max_tokens=flags["max_tokens"],
            temperature=flags["temperature"],
            seed=flags["seed"],
            decoder=self.settings.text("decoder") or "auto",  # type: ignore[arg-type]
        )


def run(request: Request) -> int:
    """Carry the run out, from where it was; 0 if every clip has an answer, else 1.

    Raises:
        EmerError: the call makes no sense, the pack can't be had, the folder holds another run, the disk is
            full, or it was interrupted.
    """
    quiet = request.flags["quiet"]
    how = take_scoring(request.flags)  # what can be refused is refused before any work is spent
    data = _with_media(take_data(request.flags["data"], request.flags), request, quiet=quiet)
    use_packs_folder(request.settings)
    try:
        _ask_all(request, data, quiet=quiet)
        return _finish(request, how)
    finally:
        how.close()


def _with_media(data: DataSet, request: Request, *, quiet: bool) -> DataSet:
    """The rows with their clips; missing ones are listed, and refused unless something stands for them."""
    from emer_edge.evaluate.datasets_media import find_media

    flags = request.flags
    text_is_enough = flags["text_only"] or flags["only"] == "words"
    if request.media is None:
        if not text_is_enough:
            raise InputError(
                "No folder of clips was named.", todo="Name it with --media, or pass --text-only."
            )
        return data
    data, missing = find_media(data, request.media)
    if not missing:
        return data
    listed = ", ".join(missing[:_LISTED])
    more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    if len(missing) == len(data) and not text_is_enough:
        raise InputError(f"None of the {len(data)} clips is under {request.media}.", f"The first: {listed}.")
    if not (text_is_enough or flags["allow_missing"]):
        raise InputError(
            f"{len(missing)} of {len(data)} clips are missing under {request.media}.",
            f"{listed}{more}.",
            "Pass --text-only to ask by their words, or --allow-missing to let them fail.",
        )
    if not quiet:
        say(f"missing: {one_line(listed)}{more} ({len(missing)} of {len(data)})")
    return data


def _ask_all(request: Request, data: DataSet, *, quiet: bool) -> None:
    import emer_edge as ee
    from emer_edge.evaluate.asking import ask_row
    from emer_edge.evaluate.runs import RunFolder, carry_out

    settings, asked = request.settings, request.asked()
    token, pace = ee.CancelToken(), Pace(Terminal.look(), quiet=quiet)
    with Stop(token):
        reasoner = ee.load(
            settings.text("pack") or "",
            device=settings.text("device") or "cpu",
            threads=settings.threads,
            decoder=settings.text("decoder") or "auto",
        )
        with reasoner, RunFolder(request.folder, _config(request, reasoner, data, asked), data) as folder:
            if request.flags["retry_failed"]:
                folder.forget_failures()
            _say_start(folder, len(data), quiet=quiet)

            def answer(row: Row) -> Output:
                if token.cancelled:
                    raise Cancelled("Interrupted.")
                return ask_row(reasoner, row, asked, token)

            try:
                carry_out(folder, answer, pace)
            except Cancelled as error:
                raise KeyboardInterrupt from error
            finally:
                pace.progress.clear()


def _config(request: Request, reasoner: ee.Reasoner, data: DataSet, asked: Asked) -> RunConfig:
    from emer_edge.evaluate.asking import pack_record
    from emer_edge.evaluate.runs import RunConfig
    from emer_edge.packs.store import find_pack

    folder = find_pack(request.settings.text("pack") or "")
    system = pack_record(folder, reasoner.manifest, reasoner.device)
    only = f", {asked.only} only" if asked.only else ""
    name = request.flags["name"] or f"{reasoner.manifest.name}{only}"
    return RunConfig(name, system, asked.to_dict(), data.describe())


def _say_start(folder: RunFolder, rows: int, *, quiet: bool) -> None:
    if quiet:
        return
    done = len(folder.done)
    say(f"{rows - done} of {rows} clips to ask{f', {done} done before' if done else ''}")


def _finish(request: Request, how: Any) -> int:
    """Score the finished run, write its pages, print its figures."""
    from emer_edge.evaluate.compare import compare
    from emer_edge.evaluate.measures import score_system
    from emer_edge.evaluate.report import render
    from emer_edge.evaluate.run_files import load_run
    from emer_edge.evaluate.show import score_lines
    from emer_edge.evaluate.stored import System

    stored = load_run(request.folder)
    failed = sum(output.failed for output in stored.outputs.values())
    metrics: dict[str, Any] | None = None
    lines = [f"{stored.name} on {stored.data.name}: {len(stored.outputs)} clips, no truth to score against"]
    if stored.data.kinds:
        scored = score_system(
            stored.data, System(stored.name, stored.outputs, "the system", request.folder), how
        )
        metrics, lines = scored.to_dict(), score_lines(scored)
        page = render(compare([scored]), _facts(stored.record))
        text = json.dumps(metrics, ensure_ascii=False, indent=1) + "\n"
        write_files(request.folder, {"metrics.json": text, "report.html": page})
    if request.flags["as_json"]:
        record = {
            "run": str(request.folder),
            "clips": len(stored.outputs),
            "failed": failed,
            "metrics": metrics,
        }
        put(json.dumps(record, ensure_ascii=False) + "\n")
    else:
        put("".join(f"{safe(line)}\n" for line in lines))
    if failed and not request.flags["quiet"]:
        say(f"{failed} of {len(stored.outputs)} clips failed; --retry-failed asks again")
    return 1 if failed else 0


def _facts(record: Mapping[str, Any]) -> dict[str, str]:
    system, asked = record["system"], record["asked"]
    pack = f"{system.get('pack')} {system.get('version')} on {system.get('device')}, {system.get('sha256')}"
    given = (f"{name}: {value}" for name, value in asked.items() if value not in (None, "", False))
    return {
        "Pack": pack,
        "Asked": ", ".join(given),
        "Versions": ", ".join(f"{name} {value}" for name, value in record["versions"].items()),
        "Begun": str(record.get("began", "")),
    }
