"""Measures a pack whole, through the runtime, on held-out data, and writes down what came out.

Knows the steps and which rows each one takes. Choices are made by the dev rows alone; the test rows are
measured once for a version that is released. Does not know how answers or figures come about.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training import goals, measure_explain, measure_figures, measure_pairs, measure_speed, record, sources
from training.measure_data import Item, Rows, held_out
from training.measure_pack import Gauge, Workers, pack_hash

# Looking for a face costs twenty times what reading it does, so not every face is looked for.
_DETECTED, _PAIRS, _DISAGREEING, _EXPLANATIONS = 500, 1050, 400, 100
STEPS = ("recognise", "detect", "combine", "disagree", "explain", "speed")
CHAPTERS = ("recognise", "detector", "combine", "disagree", "explain", "speed")


def score_step(gauge: Gauge, item: Item) -> dict[str, Any]:
    """Score one row given alone."""
    return {"scores": {label: round(share, 6) for label, share in gauge.item(item).items()}}


def detect_step(gauge: Gauge, item: Item) -> dict[str, Any]:
    """Score one face that the detector has to find, and the same face as it enters behind it."""
    if item.face is None:
        raise ValueError("only faces can be looked for")
    return {"scores": gauge.detected(item.face), "behind": gauge.item(item)}


@dataclass
class Measurement:
    """What is measured, with what, and what came of it so far."""

    workers: Workers
    pack: Path
    rows: dict[str, Rows]
    split: str
    parts: dict[str, dict[str, Any]]
    items: int | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def recognise(self) -> None:
        """Each corpus, its one modality alone."""
        found = self.figures.setdefault("recognise", {})
        for name, rows in self.rows.items():
            chosen = rows.some(self.items)
            raw = self.workers.run(name, score_step, chosen.items, _mark(chosen.labels, chosen.groups))
            head = measure_figures.head_figures(self.parts, self.split, chosen)
            found[name] = measure_figures.recognition(chosen, raw.answers, head)
            self.seconds[f"recognise {name}"] = raw.seconds

    def detect(self) -> None:
        """Faces once more, through the detector and its alignment."""
        chosen = self.rows["ferplus"].some(self._count(_DETECTED))
        mark = _mark(chosen.labels, chosen.groups)
        raw = self.workers.run("ferplus_detected", detect_step, chosen.items, mark)
        self.figures["detector"] = measure_figures.detector_figures(chosen, raw.answers)
        self.seconds["detect"] = raw.seconds

    def combine(self) -> None:
        """Synthetic pairs that agree, in every subset and disturbed."""
        pairs = measure_pairs.agreeing(self._shelf(), self._count(_PAIRS))
        raw = self.workers.run("combine", measure_pairs.combine_step, pairs, _marked(pairs))
        self.figures["combine"] = measure_figures.combination(pairs, raw.answers)
        self.seconds["combine"] = raw.seconds

    def disagree(self) -> None:
        """Synthetic pairs whose face and voice show different things."""
        pairs = measure_pairs.disagreeing(self._shelf(), self._count(_DISAGREEING))
        raw = self.workers.run("disagree", measure_pairs.disagree_step, pairs, _marked(pairs))
        self.figures["disagree"] = measure_figures.disagreement(pairs, raw.answers)
        self.seconds["disagree"] = raw.seconds

    def explain(self) -> None:
        """The reasoning of every subset of modalities, checked against the clip."""
        subsets = len(measure_pairs.SUBSETS)
        pairs = measure_pairs.mixed(self._shelf(), max(1, self._count(_EXPLANATIONS * subsets) // subsets))
        raw = self.workers.run("explain", measure_pairs.explain_step, pairs, _marked(pairs))
        self.figures["explain"] = measure_explain.explanation(pairs, raw.answers)
        self.seconds["explain"] = raw.seconds

    def speed(self) -> None:
        """Encoders, prefill, tokens and memory, in a process of its own."""
        began = time.monotonic()
        self.figures["speed"] = measure_speed.measure_apart(self.pack)
        self.seconds["speed"] = time.monotonic() - began

    def _shelf(self) -> measure_pairs.Shelf:
        voices = [self.rows[name] for name in ("ravdess", "emospeech")]
        return measure_pairs.Shelf(self.rows["ferplus"], voices, self.rows["meld"])

    def _count(self, usual: int) -> int:
        return usual if self.items is None else min(usual, self.items)


def _mark(*columns: Sequence[Any]) -> str:
    """A short mark of which rows these are, so that raw answers to others are not taken for theirs."""
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:12]


def _marked(pairs: Sequence[measure_pairs.Pair]) -> str:
    return _mark([[*pair.labels, pair.clip, pair.words, pair.subset, pair.seed] for pair in pairs])


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one split and return the record with it.

    Raises:
        record.MeasuringError: see there.
        FileNotFoundError: a corpus or the pack is not there.
    """
    pack: Path = options.pack
    manifest = record.read(pack / "manifest.json")
    if not manifest:
        raise FileNotFoundError(f"{pack} holds no manifest.json: point --pack at the folder of a pack")
    identity = {"name": manifest["name"], "version": manifest["version"], "sha256": pack_hash(pack)}
    known = record.read(options.figures)
    before = record.measured_before(known, options.split, identity)
    if options.split == "test":
        record.check_unmeasured(known, identity)
        if not before and set(options.steps) != set(STEPS):
            raise record.MeasuringError("the test rows are measured whole first: leave out --steps")
        # What the run recorded on its way, dev figures among it, belongs beside the test figures.
        known |= record.read(options.out / "figures.json")
    rows = held_out(options.corpus, options.out / "cache", options.split)
    folder = options.out / "measured" / identity["sha256"][:12] / options.split
    with Workers(pack, folder, options.processes) as workers:
        files = {"encoders": "encoders.json", "expert": "words_expert.json"}
        parts = {name: record.read(options.out / file) for name, file in files.items()}
        work = Measurement(workers, pack, rows, options.split, parts, options.items)
        work.figures |= {key: value for key, value in before.items() if key in CHAPTERS}
        work.seconds |= before.get("measured", {}).get("seconds", {})
        for step in options.steps:
            print(f"== {step}", file=sys.stderr, flush=True)
            getattr(work, step)()
    found = {
        "measured": record.circumstances(work.seconds),
        **work.figures,
        "goals": goals.judge(work.figures),
    }
    about = {
        "described": sources.described(manifest),
        "data": sources.counts(options.corpus, options.out / "cache"),
        "curves": record.curves(options.out),
    }
    return record.merged({**known, **about}, options.split, identity, found)


def main(argv: list[str] | None = None) -> int:
    """Measure a pack; dev figures go to OUT/figures.json, test figures to the record of the recipe."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=main.__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the pack")
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--items", type=int, help="so many of each corpus at most, for a quick look at dev")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="the rest is kept")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--figures", type=Path, help="the record to write")
    options = parser.parse_args(argv)
    if options.split == "test" and options.items:
        parser.error("the test rows are measured whole: leave out --items")
    options.figures = options.figures or (
        record.FIGURES if options.split == "test" else options.out / "figures.json"
    )
    try:
        figures = evaluate(options)
    except (record.MeasuringError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    record.write(options.figures, figures)
    for chapter in figures[options.split]["goals"].values():
        for goal in chapter:
            if goal["value"] is not None:
                verdict = "met" if goal["met"] else "NOT met"
                print(f"{goal['name']}: {goal['value']:.3f}, target {goal['target']:g}: {verdict}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
