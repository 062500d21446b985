"""Options that several verbs of `eval` share, and what they mean. Knows no verb."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emer_edge.cli.eval_progress import JudgePace
from emer_edge.cli.options import PathText

if TYPE_CHECKING:
    from emer_edge.evaluate.datasets import DataSet
    from emer_edge.evaluate.judging import Judging
    from emer_edge.evaluate.overlap_cues import SentenceEncoder
    from emer_edge.evaluate.set_metrics import Groups
    from emer_edge.evaluate.truth_scores import Scoring
    from emer_edge.evaluate.wheel import WheelVocabulary


def data_options(command: Any) -> Any:
    """Adds --as, --language, --split, --limit and --subtitles."""
    options = [
        click.option(
            "--as", "kind", metavar="KIND", help="Which data set DATA is. [default: by its columns]"
        ),
        click.option(
            "--language",
            type=click.Choice(("en", "zh")),
            default="en",
            show_default=True,
            help="Of the words.",
        ),
        click.option("--split", metavar="NAME", help="Rows of this split. [default: all]"),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="At most the first N rows."),
        click.option(
            "--subtitles", type=PathText(), metavar="CSV", help="What is said in the clips, by name or id."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def scoring_options(command: Any) -> Any:
    """Adds --wheels, --wheel-tables, --vocabulary, --groups, --answered-only and --resamples."""
    options = [
        click.option(
            "--wheels",
            type=PathText(),
            metavar="DIR",
            help="Published emotion wheels. [default: our own words]",
        ),
        click.option(
            "--wheel-tables", type=PathText(), metavar="DIR", help="Where their xlsx lie, if not in --wheels."
        ),
        click.option("--vocabulary", type=PathText(), metavar="FILE", help="A vocabulary of your own, JSON."),
        click.option(
            "--groups",
            type=PathText(),
            metavar="ZIP",
            help="Synonym groups of each clip: MER2024's set metric.",
        ),
        click.option("--answered-only", is_flag=True, help="Leave out clips without an answer."),
        click.option(
            "--resamples",
            type=click.IntRange(100, 1_000_000),
            metavar="N",
            help="Draws of the bootstrap. [default: 1000, and 10000 for differences]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def judge_options(command: Any) -> Any:
    """Adds --judge, --judge-model, --judge-device, --judgements, --cues and --encoder."""
    options = [
        click.option(
            "--judge",
            metavar="FILE|URL",
            help="Clue and label overlap by this judge: a GGUF file, or an OpenAI-like server's address.",
        ),
        click.option("--judge-model", metavar="NAME", help="What the server of --judge calls the model."),
        click.option(
            "--judge-device",
            type=click.Choice(("cpu", "cuda")),
            default="cpu",
            show_default=True,
            help="Where a GGUF judge runs.",
        ),
        click.option(
            "--judgements",
            type=PathText(),
            metavar="FILE",
            help="Keep answers here; none is asked for twice.",
        ),
        click.option("--cues", is_flag=True, help="Match the cues that texts state, as EmoCue-360 does."),
        click.option(
            "--encoder",
            metavar="NAME",
            help="Sentence encoder of --cues: words, or module:function. [default: words]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def take_data(path: str, flags: Mapping[str, Any]) -> DataSet:
    """The data set that `data_options` mean.

    Raises:
        InputError: it can't be read, or has no such rows.
    """
    from emer_edge.evaluate.datasets import with_subtitles
    from emer_edge.evaluate.datasets_read import read_dataset, read_subtitles

    data = read_dataset(Path(path), flags["kind"] or "", flags["language"])
    if flags["subtitles"]:
        data = with_subtitles(data, read_subtitles(Path(flags["subtitles"]), flags["language"]))
    return data.only(flags["split"] or "", flags["limit"])


def take_scoring(flags: Mapping[str, Any]) -> Scoring:
    """How to score, as `scoring_options` say.

    Raises:
        InputError: words or groups can't be read, or two vocabularies are asked for.
    """
    from emer_edge.evaluate.scores import Resampling
    from emer_edge.evaluate.truth_scores import Scoring

    return Scoring(
        vocabulary=_vocabulary(flags),
        groups=_groups(Path(flags["groups"])) if flags["groups"] else None,
        answered_only=flags["answered_only"],
        resampling=Resampling(flags["resamples"]) if flags["resamples"] else Resampling(),
        judging=_judging(flags),
        encoder=_encoder(flags),
    )


def _judging(flags: Mapping[str, Any]) -> Judging | None:
    from emer_edge.errors import InputError
    from emer_edge.evaluate.judge_models import open_judge
    from emer_edge.evaluate.judgements import Judgements
    from emer_edge.evaluate.judging import Judging

    if not flags["judge"]:
        for name in ("judge_model", "judgements"):
            if flags[name]:
                raise InputError(f"--{name.replace('_', '-')} goes with --judge.")
        return None
    model = open_judge(flags["judge"], flags["judge_model"] or "", flags["judge_device"])
    path = Path(flags["judgements"]) if flags["judgements"] else None
    return Judging(Judgements(model, path, JudgePace(quiet=bool(flags.get("quiet")))))


def _encoder(flags: Mapping[str, Any]) -> SentenceEncoder | None:
    from emer_edge.errors import InputError
    from emer_edge.evaluate.sentence_encoders import load_encoder

    if flags["encoder"] and not flags["cues"]:
        raise InputError("--encoder goes with --cues.")
    return load_encoder(flags["encoder"] or "words") if flags["cues"] else None


def _vocabulary(flags: Mapping[str, Any]) -> WheelVocabulary:
    from emer_edge.errors import InputError
    from emer_edge.evaluate.vocabulary import default_vocabulary, load_vocabulary
    from emer_edge.evaluate.wheel_files import load_wheel_folder

    if flags["wheels"] and flags["vocabulary"]:
        raise InputError("--wheels and --vocabulary exclude each other.")
    if flags["wheel_tables"] and not flags["wheels"]:
        raise InputError("--wheel-tables goes with --wheels.")
    if flags["wheels"]:
        tables = Path(flags["wheel_tables"]) if flags["wheel_tables"] else None
        return load_wheel_folder(Path(flags["wheels"]), tables=tables)
    return load_vocabulary(Path(flags["vocabulary"])) if flags["vocabulary"] else default_vocabulary()


def _groups(path: Path) -> dict[str, Groups]:
    from emer_edge.errors import InputError
    from emer_edge.evaluate.npz_records import read_npz
    from emer_edge.evaluate.set_metrics import parse_groups

    groups: dict[str, Groups] = {}
    for name, record in read_npz(path).items():
        if not isinstance(record, str):
            raise InputError(f"{path}: {name} holds no synonym groups.")
        groups[Path(name).name] = parse_groups(record)
    return groups
