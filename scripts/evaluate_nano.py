"""The full report of emer-nano on what can be evaluated without clips that nobody may pass on.

    python -m scripts.evaluate_nano --corpus CORPORA --emer EMER -o runs/nano

Writes each held-out set as a plain table (voices as wav files) below the output folder, asks the pack about
it with `emer-edge eval run`, sets it beside the baselines with `emer-edge eval compare`, and ends with
summary.md. Called again it goes on where it was. Needs the training corpora, laid out as training/README.md
says, and the folder of EMER's files. Nothing of them is kept anywhere but in the output folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import wave
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.measure_data import Rows, text_rows, voice_rows

TITLES = {
    "emer-v1": "EMER v1, subtitles alone",
    "emer-v2": "OV-MERD / EMER v2, the clips whose subtitles EMER v1 has",
    "meld": "MELD test, words",
    "goemotions": "GoEmotions test, words",
    "isear": "ISEAR, held-out respondents, words",
    "ravdess": "RAVDESS, held-out speakers, voice",
    "emospeech": "EmoSpeech, held-out users, voice",
    "emodb": "EMO-DB, never trained on, voice",
}
EXPLAINED = ("emer-v1", "emer-v2", "ravdess")
"""Sets whose clips are explained too, and the explanations checked; of the others only labels are asked."""


@dataclass(frozen=True)
class Plan:
    """Where a set lies, and what the pack is given of it."""

    name: str
    table: Path
    media: Path | None = None


def main() -> None:
    """Carry everything out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="the training corpora")
    parser.add_argument(
        "--emer", type=Path, required=True, help="folder with gt-eng.csv, check-openset.csv ..."
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pack", default="emer-nano")
    parser.add_argument("--limit", type=int, help="at most so many rows of a set, drawn with a fixed seed")
    parser.add_argument("--at-once", type=int, default=8)
    given = parser.parse_args()
    data = given.output / "data"
    data.mkdir(parents=True, exist_ok=True)
    plans = [*emer(given.emer, data), *held_out(given.corpus, data, given.limit)]
    lines = [evaluated(plan, given) for plan in plans]
    page = given.output / "summary.md"
    page.write_text("\n".join([*HEAD, *lines, ""]), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


def emer(folder: Path, data: Path) -> Iterable[Plan]:
    """EMER v1 as published; of OV-MERD the clips whose words are known from EMER v1."""
    (first,) = folder.rglob("gt-eng.csv")
    (labels,) = folder.rglob("check-openset.csv")
    (reasons,) = folder.rglob("final-EMER-reason.csv")
    yield Plan("emer-v1", first)
    words = {row["names"]: row["subtitles"].strip() for row in read(first)}
    texts = {row["name"]: row["english"] for row in read(reasons)}
    rows = [
        {
            "id": row["name"],
            "subtitle": words[row["name"]],
            "labels": row["openset"],
            "text": texts[row["name"]],
        }
        for row in read(labels)
        if words.get(row["name"])
    ]
    yield Plan("emer-v2", write(data / "emer-v2.csv", rows))


def held_out(corpus: Path, data: Path, limit: int | None) -> Iterable[Plan]:
    """The held-out rows of the training recipe, as tables."""
    for rows in (*text_rows(corpus, "test"), *voice_rows(corpus, data / "voices", "test")):
        some = rows.some(limit)
        folder = data / some.name
        lines = [
            {
                "id": f"{some.name}-{place:05}",
                "media": f"{place:05}.wav" if item.voice is not None else "",
                "subtitle": item.words or "",
                "label": some.labels[place],
                "group": some.groups[place],
            }
            for place, item in enumerate(some.items)
        ]
        heard = some.modality == "voice"
        if heard:
            write_voices(folder, some)
        yield Plan(some.name, write(data / f"{some.name}.csv", lines), folder if heard else None)


def write_voices(folder: Path, rows: Rows) -> None:
    """One 16 kHz wav for each row."""
    folder.mkdir(exist_ok=True)
    for place, item in enumerate(rows.items):
        path = folder / f"{place:05}.wav"
        if path.is_file() or item.voice is None:
            continue
        samples = np.clip(np.asarray(item.voice, np.float32) * 32767, -32768, 32767).astype("<i2")
        with wave.open(str(path), "wb") as handle:
            handle.setparams((1, 2, 16_000, len(samples), "NONE", ""))
            handle.writeframes(samples.tobytes())


def evaluated(plan: Plan, given: argparse.Namespace) -> str:
    """Run, compare with the baselines, and the set's line of the summary."""
    folder = given.output / plan.name
    asked = [] if plan.name in EXPLAINED else ["--question", "labels", "--max-tokens", "0"]
    what = ["--text-only"] if plan.media is None else ["--media", plan.media, "--only", "voice"]
    base = ["--at-once", given.at_once, "--pack", given.pack, "--name", given.pack, "--quiet"]
    call("eval", "run", plan.table, *what, *asked, *base, "-o", folder, may_fail=True)
    text = call(
        "eval",
        "compare",
        folder,
        "--baselines",
        "--against",
        "majority",
        "-o",
        folder / "baselines",
        "--json",
    )
    return line(plan.name, json.loads(text))


def line(name: str, found: Mapping[str, Any]) -> str:
    """One row of the summary: the pack's figures, and the floors."""
    by_name = {system["system"]: system for system in found["systems"]}
    floors = {key: by_name.pop(key) for key in [*by_name] if key == "majority" or key.startswith("random")}
    (own,) = by_name.values()
    figure = found["figure"]
    cells = [TITLES[name], f"{own['clips']}" + (f" ({own['failed']} failed)" if own["failed"] else "")]
    cells += [f"{figure}: {shown(own['figures'][figure])}"]
    cells += [
        ", ".join(
            f"{key} {100 * floor['figures'][figure]['value']:.1f}" for key, floor in sorted(floors.items())
        )
    ]
    versus = (own["against_reference"] or {}).get("noise")
    cells += ["noise" if versus else "differs"]
    accuracy = own["figures"].get("accuracy") or own["figures"].get("m_avg")
    cells += [shown(accuracy) if accuracy else ""]
    calibration, faithful = own.get("calibration"), own.get("faithfulness")
    cells += [shown(calibration["ece"]) if calibration else ""]
    cells += [f"{shown(faithful['without_fault'])} of {faithful['answers']}" if faithful else ""]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| set | clips | deciding figure, % | floors, % | from majority | accuracy or M-avg, % | ECE, % "
    "| answers without any fault, % |",
    "|---|---|---|---|---|---|---|---|",
)


def shown(estimate: Mapping[str, Any]) -> str:
    """`55.4 [51.2, 59.5]`, in percent."""
    low, high = estimate.get("interval_95") or (estimate["low"], estimate["high"])
    return f"{100 * estimate['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def call(*arguments: object, may_fail: bool = False) -> str:
    """What `emer-edge` prints; clips that fail are exit code 1, which a run may end with."""
    command = [sys.executable, "-m", "emer_edge", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode and not (may_fail and done.returncode == 1):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a csv."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def write(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """A csv of these rows."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


if __name__ == "__main__":
    main()
