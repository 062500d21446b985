"""The model card of emer-nano, made from the record of figures.

Knows wording. Every number comes from the record; what the record lacks is said to be missing. Does not know
how figures are measured or drawn.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emer_export.pack import describe_file
from training import card_tables as tables
from training import record, sources
from training.card_tables import MISSING, Figures

_WHAT = """\
# {name} {version}

A small model of the AffectGPT family, trained from scratch. In go {frames} aligned faces
({width} x {height}, grey content), {windows} windows of {window_seconds} s of voice and a subtitle; out come
candidate emotions with confidences, open labels and a short explanation. English.
The runtime also reads each modality by itself: what says nothing is left out, a feeling that one of them is
sure of is reported beside the others, and the explanation is told what each shows.

{measured}

## What is inside

{parts}

Candidates: {candidates}.

## What it was trained on

{data}

Held-out rows share no speaker, user, respondent or dialogue with training rows. Whose faces and comments
FER+ and GoEmotions hold is not known, so that a person may stand on both sides there; exact copies of
pictures do not. Weights only are in the pack: terms in its `LICENSE`.

**Faces, voices and words were never recorded together.** No open audio-visual corpus with labels was at
hand, so clips are synthetic pairs: a face, a voice and a line of different people, of the same label, of
different labels, or with parts missing. What the model learnt about weighing one modality against another
comes from a rule in the recipe, not from people.

Explanations come from a template grammar. What they state is of four kinds: voice levels (pitch, melody,
loudness, pace, pauses) are learnt from measurements of the waveform; quotes are words of the subtitle;
whether clues agree follows what each modality shows by itself; facial movements ("raised brows") are the
ones usual for the expression the model sees and are **not** measured.
"""

_HOW = """\
## How it was measured

The whole pack through the runtime, each modality given alone, labels read from the logits without
generating text. Classes are those of the corpus; `calm` counts as neutral where a corpus has no calm, and
`unclear` is left out. Voices enter as waveforms and words as subtitles. FER+ pictures are tight crops,
which enter behind the face detector; those that went through the detector are told apart below. Intervals
are 95 % bootstrap, drawn by whole speakers, dialogues or respondents where they are known. Floors are plain
baselines on the same splits (voices: MFCC and pitch statistics with an SVM; faces: HOG with an SVM; words:
TF-IDF with logistic regression). A binned calibration error is above nothing by chance where items are few:
what a perfectly calibrated model would show with as many stands beside it. Choices were made on dev rows;
the test rows are measured once for a version.
"""

_LIMITS = """\
## Limits

- Voices are acted, most of them two sentences or one word; what counts for other voices is the figure of
  EMO-DB, which nothing was trained on.
- Faces are web pictures with noisy annotators; age, skin tone and culture are not balanced, and what a
  label meant to annotators is all the model knows.
- English words only; other languages give nonsense.
- Confidences were calibrated on corpora like these, not on your clips.
- An expression is not a feeling. Explanations are fluent and can be wrong, even where the label is right.

**Never tested on:** children; old people as a group of their own; dialects and accents of English other
than those of the corpora; languages other than English and (voice only) German; spontaneous voices; natural
audio-visual speech; people with facial palsy, speech disorders or hearing loss; covered faces and masks;
skin tones, genders and ages one by one, since most of the corpora do not say who it is.

## It must not be used

- to decide about people: work, school, credit, insurance, policing, border control, health;
- to watch people who have not agreed, or to infer emotions at work or in education (forbidden in the
  European Union, Regulation 2024/1689, article 5);
- to identify anyone;
- as a medical device;
- commercially (see the pack's `LICENSE`).

## How to reproduce it

    python -m training --corpus DIR --out build/training

trains, exports and evaluates from seeds in the tree. The figures of a pack, then its card and plots, come
from

    python -m training.evaluate --corpus DIR --pack FOLDER --out build/training --split {split}
    python -m training.card --pack FOLDER --split {split}
"""


def render(figures: Figures, split: str = "test", images: str | None = None) -> str:
    """Return the card.

    Args:
        figures: the record (training.record); parts may be missing.
        split: whose figures are told; those of dev stand beside those of test where both are there.
        images: where the plots are, seen from the card; None leaves them out.
    """
    pack, shape = figures.get("pack", {}), figures.get("described", {})
    part = figures.get(split, {})
    frames, audio = shape.get("frames", {}), shape.get("audio", {})
    opening = _WHAT.format(
        name=pack.get("name", "emer-nano"),
        version=pack.get("version", ""),
        frames=frames.get("count", MISSING),
        width=frames.get("width", MISSING),
        height=frames.get("height", MISSING),
        windows=audio.get("windows", MISSING),
        window_seconds=audio.get("window_seconds", MISSING),
        measured=tables.circumstances(part, split, pack),
        parts=tables.parts(shape),
        candidates=", ".join(shape.get("candidates", ())) or MISSING,
        data=tables.data(figures.get("data", {})),
    )
    other = figures.get("dev", {}) if split == "test" else {}

    def picture(name: str, words: str) -> list[str]:
        return [f"![{words}]({images}/{name}.svg)"] if images else []

    goals, beside = part.get("goals", {}), other.get("goals", {})
    chapters = [
        opening,
        _HOW,
        "## Recognition",
        tables.goals(goals.get("recognise", ()), beside.get("recognise", ())),
        *picture("targets", "each figure with its interval, floor and target"),
        "Every corpus, the whole pack, and beside it what the encoder's own classification head reaches, or "
        "the text expert that the language model was taught by:",
        tables.recognition(part.get("recognise", {})),
        tables.detector(part.get("detector", {})),
        *(
            f"![confusion matrix of {name}]({images}/confusion-{name}.svg)"
            for name in part.get("recognise", {})
            if images
        ),
        "## Calibration",
        tables.goals(goals.get("calibrate", ()), beside.get("calibrate", ())),
        tables.calibration(part.get("recognise", {})),
        *picture("reliability", "accuracy over confidence"),
        *picture("risk-coverage", "risk over coverage"),
        "## Combination (synthetic pairs)",
        tables.goals(goals.get("combine", ()), beside.get("combine", ())),
        tables.combination(part.get("combine", {})),
        *picture("modalities", "accuracy by what is given"),
        tables.disagreement(part.get("disagree", {})),
        "## Faithfulness of the explanations",
        tables.goals(goals.get("explain", ()), beside.get("explain", ())),
        tables.faithfulness(part.get("explain", {})),
        "## Speed and size",
        tables.goals(goals.get("speed", ()), beside.get("speed", ())),
        tables.speed(part.get("speed", {})),
        tables.parity(shape.get("parity", {})),
        "## What the recipe's parts bring",
        tables.ablations(figures.get("ablations", {})),
        *(picture("ablations", "what leaving out a part costs") if figures.get("ablations") else ()),
        tables.voice_folds(figures.get("voice_folds", {})),
        tables.voice_curves(figures.get("voice_curves", {})),
        *(picture("voice-curves", "the same as bars") if figures.get("voice_curves") else ()),
        *(picture("training", "training curves") if images and _has_curves(figures) else ()),
        _LIMITS.format(split=split),
        tables.training_time(figures.get("training_seconds", {})),
    ]
    return "\n\n".join(chapter.strip() for chapter in chapters if chapter) + "\n"


def _has_curves(figures: Figures) -> bool:
    from training.plots import curves

    return bool(curves(figures))


def unmeasured(manifest: Mapping[str, Any]) -> str:
    """Return the card of a pack that was just put together: what it is, and that nothing is measured yet."""
    identity = {"name": manifest["name"], "version": manifest["version"]}
    return render({"pack": identity, "described": sources.described(manifest)})


def summary(figures: Figures) -> dict[str, Any]:
    """Return what a manifest says under `evaluation`: each goal's value with interval, by split."""
    return {
        split: {
            goal["name"]: {key: goal[key] for key in ("value", "interval_95", "floor", "target", "met")}
            for goals in figures[split].get("goals", {}).values()
            for goal in goals
            if goal["value"] is not None
        }
        for split in ("dev", "test")
        if split in figures
    }


def put_into(pack: Path, text: str, evaluation: Mapping[str, Any]) -> None:
    """Replace the card of a pack and what its manifest says of it and of the evaluation."""
    path = pack / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    card = pack / manifest["card"]
    card.write_text(text, encoding="utf-8")
    others: Sequence[dict[str, Any]] = [row for row in manifest["files"] if row["path"] != manifest["card"]]
    manifest["files"] = sorted([*others, describe_file(pack, card)], key=lambda row: str(row["path"]))
    manifest["evaluation"] = dict(evaluation)
    beside = path.with_name("manifest.json.partial")
    beside.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Write the card into the pack and, with the plots, into the documentation."""
    parser = argparse.ArgumentParser(prog="python -m training.card", description=main.__doc__)
    parser.add_argument("--figures", type=Path, default=record.FIGURES)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--pack", type=Path, help="folder of the pack whose card is replaced")
    parser.add_argument("--docs", type=Path, help="folder of the documentation")
    options = parser.parse_args(argv)
    figures = record.read(options.figures)
    if options.split not in figures:
        print(f"{options.figures} holds no figures of the {options.split} split", file=sys.stderr)
        return 1
    if options.pack:
        put_into(options.pack, render(figures, options.split), summary(figures))
    if options.docs:
        from training import plots

        name = figures["pack"]["name"]
        plots.draw_all(figures, options.split, options.docs / "images" / name)
        page = render(figures, options.split, f"images/{name}")
        (options.docs / f"{name}.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
