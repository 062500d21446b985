"""`emer-edge eval`: the flags of its verbs, and nothing else."""

from __future__ import annotations

from typing import Any

import click

from emer_edge.cli.asking_options import asking_options, running_options
from emer_edge.cli.border import debug_option
from emer_edge.cli.eval_options import data_options, judge_options, scoring_options
from emer_edge.cli.options import PathText, engine_options


@click.group(name="eval", short_help="Run packs over data sets, score and compare what came out.")
def eval_() -> None:
    """Run packs over data sets, score what came out, and compare it with other systems.

    Everything happens on this machine: data sets and stored outputs are read as published, from where you
    keep them. See docs/evaluation.md.

    \b
    Examples:
      emer-edge eval run gt-eng.csv --text-only -o runs/nano-emer-v1
      emer-edge eval score predict-openset.csv --data check-openset.csv
      emer-edge eval compare runs/nano-emer-v1 valley.csv pandagpt.csv --baselines
    """


@eval_.command(short_help="Ask a pack about every clip of a data set.")
@click.argument("data", type=PathText(), metavar="DATA")
@data_options
@asking_options
@engine_options
@scoring_options
@judge_options
@running_options
@debug_option
def run(**flags: Any) -> int:
    """Ask a pack about every clip of a data set, and score it.

    DATA is a file of a data set as it is published, a folder of MER-UniBench, or a plain csv or jsonl with
    the columns id, media, subtitle, label, labels, valence, text, split, group, as far as they are known.
    The run's folder gets run.json, outputs.jsonl, metrics.json and report.html. A run that was ended, even by
    kill -9, goes on where it was when it is called again; clips that failed stay in it with their error.

    \b
    Examples:
      emer-edge eval run gt-eng.csv --text-only -o runs/nano-emer-v1
      emer-edge eval run meld-process --as meld --split test --media meld-process/subvideo -o runs/meld
      emer-edge eval run clips.csv --media /nfs/clips --ray 10.0.0.5:6379 --at-once 8 -o runs/all
    """
    from emer_edge.cli.carrying import Request
    from emer_edge.cli.eval_run import run

    return run(Request.of(flags))


@eval_.command(short_help="Score runs or stored outputs.")
@click.argument("runs", nargs=-1, required=True, type=PathText(), metavar="RUN...")
@click.option("--data", type=PathText(), metavar="DATA", help="Data set. [default: that of the first run]")
@data_options
@scoring_options
@judge_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a system, one line each.")
@debug_option
def score(runs: tuple[str, ...], **flags: Any) -> int:
    """Score runs or stored outputs with every measure that the data set's truth allows.

    RUN is a run's folder, or a file of stored outputs: X-openset.npz or X.npz of AffectGPT and OV-MER, a csv
    with name and openset, or one with names and chi_reasons. NAME=RUN gives it a name. Open labels: the
    emotion-wheel measures, and with --groups the set metric of MER2024. One label: hit rate, accuracy, UAR
    and F1. Sentiment: WAF and accuracy. Packs also: calibration and faithfulness.

    \b
    Examples:
      emer-edge eval score runs/nano-emer-v1
      emer-edge eval score predict-openset.csv --data check-openset.csv --groups openset-synonym.zip
      emer-edge eval score checkpoint-openset.npz --data check-openset.csv --wheels emotion_wheel --json
    """
    from emer_edge.cli.eval_score import score

    return score(runs, flags)


@eval_.command(short_help="Set systems side by side.")
@click.argument("runs", nargs=-1, required=True, type=PathText(), metavar="RUN...")
@click.option("--data", type=PathText(), metavar="DATA", help="Data set. [default: that of the first run]")
@data_options
@scoring_options
@judge_options
@click.option("--baselines", is_flag=True, help="Add the baselines majority and random.")
@click.option("--figure", metavar="NAME", help="Which figure decides, as --json names it.")
@click.option(
    "--against", metavar="NAME", help="System that the others are compared with. [default: the best]"
)
@click.option(
    "-o", "--output", type=PathText(), metavar="DIR", help="Write compare.json and compare.html there."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def compare(runs: tuple[str, ...], **flags: Any) -> int:
    """Set systems side by side, with intervals, and say which differences are noise.

    RUN as for score. All are scored on the same clips; differences are paired, and their p-values corrected
    for the number of systems. The page of -o needs nothing from outside: tables, plots, confusion by wheel,
    the worst clips of each system with their reasoning.

    \b
    Examples:
      emer-edge eval compare runs/nano runs/other --baselines
      emer-edge eval compare *-openset.npz --data check-openset.csv --wheels emotion_wheel -o table
      emer-edge eval compare all=runs/nano voice=runs/voice --figure accuracy --against voice
    """
    from emer_edge.cli.eval_score import compare

    return compare(runs, flags)


@eval_.command(short_help="Match lists of cues, as EmoCue-360 does.")
@click.argument("truth", type=PathText(), metavar="TRUTH")
@click.argument("predicted", type=PathText(), metavar="PREDICTED")
@click.option(
    "--encoder",
    default="words",
    show_default=True,
    metavar="NAME",
    help="Sentence encoder: words, or module:function.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def cues(truth: str, predicted: str, encoder: str, as_json: bool) -> int:
    """Match predicted cues with true ones in a sentence encoder's space, kind by kind.

    Both files are jsonl: an object a line with id and lists of texts visual, auditory, emotional. Who listed
    the cues of an answer, people or a language model, is up to you; `score --cues` reads them by rules.

    \b
    Examples:
      emer-edge eval cues truth.jsonl predicted.jsonl
      emer-edge eval cues truth.jsonl predicted.jsonl --encoder my_minilm:encode
      emer-edge eval cues truth.jsonl predicted.jsonl --json
    """
    from emer_edge.cli.eval_score import cues

    return cues(truth, predicted, encoder, as_json=as_json)


@eval_.command(short_help="Check whether a pack's explanations are true of the clips.")
@click.argument("pack", metavar="PACK")
@click.argument("clips", nargs=-1, required=True, type=PathText(), metavar="CLIP...")
@click.option("--question", "-q", default="explain", show_default=True, metavar="TEXT", help="What is asked.")
@click.option(
    "--device", type=click.Choice(("cpu", "cuda", "tensorrt", "tensorrt-rtx")), help="Where the engines run."
)
@click.option("--threads", type=click.IntRange(1, 256), metavar="N", help="CPU threads of each engine.")
@click.option("--decoder", type=click.Choice(("auto", "native", "pyav")), help="What decodes the clip.")
@click.option("-k", "--keep-going", is_flag=True, help="Go on with the next clip after one that failed.")
@click.option("--faults", is_flag=True, help="Print every statement that is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@debug_option
def faithfulness(**flags: Any) -> int:
    """Check whether a pack's explanations are true of the clips they are about.

    Voice clues are held against the sound measured by signal processing, quotations against the words, named
    modalities against those that were given, labels against those read from the logits. No truth is needed:
    any clips will do. What is said of faces is not checked.

    \b
    Examples:
      emer-edge eval faithfulness emer-nano clips/
      emer-edge eval faithfulness ./my-pack clip.mp4 --faults
      emer-edge eval faithfulness emer-nano clips/ --keep-going --json
    """
    from emer_edge.cli.eval_faithfulness import Request, faithfulness

    return faithfulness(Request(**flags))
