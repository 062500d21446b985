"""Asks a pack about every clip of a data set, here or on a cluster, for `eval run` and `annotate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.cli.batch import use_packs_folder
from emer_edge.cli.eval_progress import Pace
from emer_edge.cli.stop import Stop
from emer_edge.cli.terminal import Terminal, one_line, put, say
from emer_edge.config import DEFAULTS, Settings, load_settings
from emer_edge.errors import Cancelled, InputError

if TYPE_CHECKING:
    import emer_edge as ee
    from emer_edge.evaluate.asking import Asked
    from emer_edge.evaluate.carry import Group
    from emer_edge.evaluate.datasets import DataSet
    from emer_edge.evaluate.outputs import Output
    from emer_edge.evaluate.runs import RunConfig, RunFolder

PARQUET = "outputs.parquet"
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a call asks for; `flags` are those of the command line."""

    settings: Settings
    folder: Path
    media: Path | None
    flags: Mapping[str, Any]

    @classmethod
    def of(cls, flags: Mapping[str, Any]) -> Request:
        """From the flags of the command line."""
        if flags["workers"] and not flags["ray"]:
            raise InputError("--workers goes with --ray.")
        settings = load_settings({name: flags.get(name) for name in DEFAULTS})
        media = Path(flags["media"]) if flags["media"] else None
        return cls(settings, Path(flags["output"]), media, flags)

    @property
    def quiet(self) -> bool:
        """Whether nothing but errors is said."""
        return bool(self.flags["quiet"])

    @property
    def pack(self) -> str:
        """As it was named."""
        return self.settings.text("pack") or ""

    @property
    def device(self) -> str:
        """Of the engines."""
        return self.settings.text("device") or "cpu"

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
            at_once=flags["at_once"],
        )


def annotate(request: Request, data: DataSet) -> int:
    """Ask about every row, from where the run was; 0 if every clip has an answer, else 1.

    Raises:
        EmerError: as `ask_all`.
    """
    from emer_edge.evaluate.run_files import load_run

    ask_all(request, data)
    stored = load_run(request.folder)
    failed = sum(output.failed for output in stored.outputs.values())
    if request.flags["as_json"]:
        record = {"run": str(request.folder), "clips": len(stored.outputs), "failed": failed}
        put(json.dumps(record, ensure_ascii=False) + "\n")
    elif not request.quiet:
        say(f"{len(stored.outputs)} clips, {failed} failed -> {one_line(str(request.folder))}")
    return 1 if failed else 0


def with_media(data: DataSet, request: Request) -> DataSet:
    """The rows with their clips; missing ones are listed, and refused unless something stands for them.

    Raises:
        InputError: no folder, or clips that are not in it.
    """
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
    if not request.quiet:
        say(f"missing: {one_line(listed)}{more} ({len(missing)} of {len(data)})")
    return data


def ask_all(request: Request, data: DataSet) -> None:
    """Ask about every row that has no output yet, and write the Parquet file where that is wanted.

    Raises:
        EmerError: the pack can't be had, the folder holds another run, the disk is full.
        KeyboardInterrupt: it was interrupted.
    """
    import emer_edge as ee

    use_packs_folder(request.settings)
    token, pace = ee.CancelToken(), Pace(Terminal.look(), quiet=request.quiet)
    with Stop(token):
        try:
            (_on_ray if request.flags["ray"] else _here)(request, data, token, pace)
        except Cancelled as error:
            raise KeyboardInterrupt from error
        finally:
            pace.progress.clear()
    if request.flags["parquet"]:
        from emer_edge.evaluate.outputs_table import write_parquet
        from emer_edge.evaluate.run_files import load_run

        write_parquet(load_run(request.folder), request.folder / PARQUET)


def _here(request: Request, data: DataSet, token: ee.CancelToken, pace: Pace) -> None:
    import emer_edge as ee
    from emer_edge.evaluate.asking import ask_rows, pack_record
    from emer_edge.evaluate.carry import one_by_one
    from emer_edge.packs.store import find_pack

    asked = request.asked()
    reasoner = ee.load(
        request.pack,
        device=request.device,
        threads=request.settings.threads,
        decoder=asked.decoder,
        at_once=asked.at_once,
    )
    with reasoner:
        system = pack_record(find_pack(request.pack), reasoner.manifest, reasoner.device)

        def answer(group: Group) -> Sequence[Output]:
            if token.cancelled:
                raise Cancelled("Interrupted.")
            return ask_rows(reasoner, group, asked, token)

        _carry_out(request, data, system, pace, one_by_one(answer))


def _on_ray(request: Request, data: DataSet, token: ee.CancelToken, pace: Pace) -> None:
    from emer_edge.evaluate.asking import pack_record
    from emer_edge.evaluate.ray_pool import Job, answer_on_ray
    from emer_edge.evaluate.runs import versions
    from emer_edge.limits import Limits
    from emer_edge.packs.manifest import load_manifest
    from emer_edge.packs.store import find_pack

    folder = find_pack(request.pack)
    system = pack_record(folder, load_manifest(folder, Limits()), request.device)
    job = Job(
        pack=request.pack,
        device=request.device,
        threads=request.settings.threads or 1,
        asked=request.asked(),
        system=system,
        versions=versions(),
        workers=request.flags["workers"] or 0,
        packs=request.settings.text("packs") or "",
    )

    def tell(line: str) -> None:
        pace.progress.clear()
        say(line)

    def answers(groups: Sequence[Group]) -> Iterable[Sequence[Output]]:
        return answer_on_ray(request.flags["ray"], job, groups, token, tell)

    _carry_out(request, data, system, pace, answers)


def _carry_out(request: Request, data: DataSet, system: dict[str, Any], pace: Pace, answers: Any) -> None:
    from emer_edge.evaluate.carry import carry_out_groups
    from emer_edge.evaluate.runs import RunFolder

    with RunFolder(request.folder, _config(request, system, data), data) as folder:
        if request.flags["retry_failed"]:
            folder.forget_failures()
        _say_start(folder, quiet=request.quiet)
        carry_out_groups(folder, answers, request.asked().at_once, pace)


def _config(request: Request, system: dict[str, Any], data: DataSet) -> RunConfig:
    from emer_edge.evaluate.runs import RunConfig

    asked = request.asked()
    only = f", {asked.only} only" if asked.only else ""
    name = request.flags["name"] or f"{system['pack']}{only}"
    return RunConfig(name, system, asked.to_dict(), data.describe())


def _say_start(folder: RunFolder, *, quiet: bool) -> None:
    if quiet:
        return
    done, rows = len(folder.done), len(folder.rows)
    say(f"{rows - done} of {rows} clips to ask{f', {done} done before' if done else ''}")
