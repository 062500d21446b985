"""Draws the figures of a pack as small SVG files: the same figures give the same bytes.

Knows the record of figures (training.record) and matplotlib. Does not know how figures are measured, nor
which page shows them. Colours are Okabe and Ito's, which colour-blind people tell apart; the ground is white,
so that a dark page shows the same picture.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training import record
from training.goals import CORPORA

_BLUE, _ORANGE, _GREEN, _VERMILION, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#777777"
_STYLE: Any = {
    "svg.hashsalt": "emer-nano",
    # Text stays text: smaller files, and fonts of whoever looks.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "legend.frameon": False,
    "path.simplify": True,
}
_TAG, _FINE = re.compile(r"<[^>]*>"), re.compile(r"(\d\.\d\d)\d+")
_LETTERS = {"f": "face", "v": "voice", "w": "words"}
Figures = Mapping[str, Any]


def titled(name: str, found: Figures) -> str:
    """Return the name of a corpus and what it tests: "FER+ (face)"."""
    return f"{CORPORA.get(name, name)} ({found['modality']})"


def named(subset: str) -> str:
    """Return the modalities of a subset in words: "fw" is "face + words"."""
    return " + ".join(_LETTERS[letter] for letter in subset)


def draw_all(figures: Figures, split: str, folder: Path) -> list[Path]:
    """Draw everything that the figures of a split hold into `folder`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    part = figures.get(split, {})
    drawn: list[Path] = []
    with mpl.rc_context(_STYLE):
        for name, found in part.get("recognise", {}).items():
            drawn.append(_saved(confusion(titled(name, found), found), folder / f"confusion-{name}.svg"))
        pictures: dict[str, tuple[Callable[..., Any], Any]] = {
            "targets": (targets, part.get("goals", {}).get("recognise")),
            "reliability": (reliability, part.get("recognise")),
            "risk-coverage": (risk_coverage, part.get("recognise")),
            "modalities": (modalities, part.get("combine")),
            "ablations": (ablations, figures.get("ablations")),
            "voice-curves": (ablations, voice_curves(figures.get("voice_curves", {}))),
            "training": (training, curves(figures)),
        }
        for name, (draw, given) in pictures.items():
            if given:
                drawn.append(_saved(draw(given), folder / f"{name}.svg"))
    return drawn


def _saved(figure: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt

    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close(figure)
    # A hundredth of a point is finer than any screen (in tags, not in what is written); spaces at line ends
    # would be taken away by editors.
    text = _TAG.sub(lambda tag: _FINE.sub(r"\1", tag[0]), path.read_text(encoding="utf-8"))
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
    return path


def _panels(count: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """A figure with `count` panels of `size` inches each, in rows of `columns`."""
    import matplotlib.pyplot as plt

    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, layout="constrained"
    )
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    return figure, flat[:count]


def confusion(title: str, found: Figures) -> Any:
    """Draw a confusion matrix: each row is a true class and sums to 1."""
    classes, counts = found["classes"], found["confusion"]
    size = 0.44 * len(classes) + 1.3
    figure, (axis,) = _panels(1, 1, (size + 0.4, size))
    for spine in axis.spines.values():
        spine.set_visible(False)
    for row, told in enumerate(counts):
        total = max(sum(told), 1)
        for column, count in enumerate(told):
            share = count / total
            # White to blue by share of the row; written in whichever of black and white is readable on it.
            shade = tuple(1 - share * (1 - part) for part in (0.0, 0.34, 0.62))
            axis.add_patch(_square(column, row, shade))
            colour = "white" if share > 0.5 else "black"
            if count:
                words = f"{share:.2f}".lstrip("0") if share < 1 else "1"
                axis.text(column, row, words, ha="center", va="center", color=colour, fontsize=8)
    limits = (-0.5, len(classes) - 0.5)
    axis.set(xlim=limits, ylim=limits[::-1], aspect="equal", xlabel="recognised as", ylabel="true")
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(
        range(len(classes)), [f"{name} ({sum(told)})" for name, told in zip(classes, counts, strict=True)]
    )
    axis.tick_params(length=0)
    axis.set_title(title)
    return figure


def _square(column: int, row: int, colour: Sequence[float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=tuple(colour), edgecolor="#CCCCCC", lw=0.4
    )


def targets(goals: Sequence[Figures]) -> Any:
    """Draw every recognition figure with its interval, floor and target."""
    shown = [goal for goal in goals if goal["floor"] is not None]
    figure, (axis,) = _panels(1, 1, (7.2, 0.42 * len(shown) + 0.9))
    for place, goal in enumerate(shown):
        axis.plot([goal["floor"]], [place], "|", color=_GREY, ms=14, mew=2, label=_once("floor", place))
        axis.plot([goal["target"]], [place], "|", color=_ORANGE, ms=14, mew=3, label=_once("target", place))
        if goal["value"] is None:
            axis.text(goal["target"] + 0.01, place, "not measured", va="center", color=_GREY)
            continue
        if goal["interval_95"]:
            axis.plot(goal["interval_95"], [place, place], "-", color=_BLUE, lw=1.5)
        axis.plot(
            [goal["value"]], [place], "o", color=_BLUE, ms=6, label=_once("measured, 95 % interval", place)
        )
    axis.set_yticks(range(len(shown)), [goal["name"] for goal in shown])
    axis.set(ylim=(len(shown) - 0.5, -0.5), xlim=(0.2, 1.0), xlabel="0 to 1, more is better")
    axis.grid(axis="x", color="#DDDDDD", lw=0.6)
    axis.set_axisbelow(True)
    _legend_below(figure, axis)
    return figure


def _once(label: str, place: int) -> str | None:
    return label if place == 0 else None


def _legend_below(figure: Any, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def reliability(recognise: Mapping[str, Figures]) -> Any:
    """Draw accuracy over confidence for every corpus; larger dots stand for more of its items."""
    figure, axes = _panels(len(recognise), 4, (2.1, 2.25))
    for axis, (name, found) in zip(axes, recognise.items(), strict=True):
        table = found["calibration"]["reliability"]
        items = sum(table["count"])
        axis.plot([0, 1], [0, 1], "--", color=_GREY, lw=1)
        axis.plot(table["confidence"], table["accuracy"], "-", color=_BLUE, lw=1)
        for confidence, accuracy, count in zip(
            table["confidence"], table["accuracy"], table["count"], strict=True
        ):
            # Four sizes, so that the file needs four shapes.
            size = 2 + 2 * min(3, int(16 * count / items))
            axis.plot([confidence], [accuracy], "o", color=_BLUE, ms=size, mew=0)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axis.set_title(f"{titled(name, found)}\nECE {found['calibration']['ece']['value']:.3f}")
    figure.supxlabel("confidence")
    figure.supylabel("accuracy")
    return figure


def risk_coverage(recognise: Mapping[str, Figures]) -> Any:
    """Draw the share of wrong answers when only the surest are given, one panel a modality."""
    kinds = list(dict.fromkeys(found["modality"] for found in recognise.values()))
    figure, axes = _panels(len(kinds), 3, (2.7, 2.4))
    styles = ((_BLUE, "-"), (_VERMILION, "--"), (_GREEN, "-."))
    for axis, kind in zip(axes, kinds, strict=True):
        own = [(name, found) for name, found in recognise.items() if found["modality"] == kind]
        for (name, found), (colour, line) in zip(own, styles, strict=False):
            curve = found["calibration"]["risk_coverage"]
            axis.plot(
                curve["coverage"],
                curve["risk"],
                line,
                color=colour,
                lw=1.6,
                label=CORPORA.get(name, name),
            )
        axis.set(xlim=(0, 1), ylim=(0, None), title=kind, xticks=(0, 0.5, 1))
        axis.grid(color="#DDDDDD", lw=0.6)
        axis.legend(loc="upper left", fontsize=8)
    figure.supxlabel("coverage: share of clips answered, surest first")
    figure.supylabel("risk: share of wrong answers")
    return figure


def modalities(combine: Figures) -> Any:
    """Draw accuracy on synthetic pairs by what is given, and with noise or silence added to it."""
    bars: list[tuple[str, Figures, str]] = [
        (named(subset), found["accuracy"], _BLUE if len(subset) > 1 else _GREY)
        for subset, found in combine["subsets"].items()
    ]
    bars += [
        (f"{named(found['without'])}, {found['what']}", found["accuracy"], _ORANGE)
        for found in combine["disturbed"].values()
    ]
    figure, (axis,) = _panels(1, 1, (6.4, 0.27 * len(bars) + 0.8))
    _bars(axis, bars)
    axis.axvline(1 / len(combine["classes"]), color="black", ls=":", lw=1)
    axis.set(xlim=(0, 1), xlabel="accuracy on synthetic pairs (dotted: chance), 95 % interval")
    return figure


def _bars(axis: Any, bars: Sequence[tuple[str, Figures, str]]) -> None:
    for place, (_, found, colour) in enumerate(bars):
        value, interval = found["value"], found.get("interval_95")
        axis.barh(place, value, color=colour, height=0.7)
        right = value
        if interval:
            axis.plot(interval, [place, place], "-", color="black", lw=1)
            right = interval[1]
        axis.text(right + 0.01, place, f"{value:.2f}", va="center", fontsize=8)
    axis.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axis.set_ylim(len(bars) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)


def ablations(groups: Mapping[str, Mapping[str, Figures]]) -> Any:
    """Draw what leaving out a part of the recipe costs: one panel a measure, one bar a variant."""
    longest = max(len(variants) for variants in groups.values())
    figure, axes = _panels(len(groups), 2, (4.2, 0.32 * longest + 0.8))
    for axis, (title, variants) in zip(axes, groups.items(), strict=True):
        bars = [
            (name, found if isinstance(found, Mapping) else {"value": found}, _BLUE if place == 0 else _GREY)
            for place, (name, found) in enumerate(variants.items())
        ]
        _bars(axis, bars)
        axis.set(
            title=title,
            xlim=(0, 1.1 * max(found.get("interval_95", [0, found["value"]])[1] for _, found, _ in bars)),
        )
    return figure


def voice_curves(found: Figures) -> dict[str, dict[str, Figures]]:
    """The networks of `voice_curves` as groups of bars: UAR within their corpus, UAR across."""
    sides = {"within": "RAVDESS, other actors: UAR", "across": "EmoSpeech, never heard: UAR"}
    entries = found.get("variants", {}).values()
    return {
        title: {entry["words"]: entry[side] for entry in entries} for side, title in sides.items() if entries
    }


def curves(figures: Figures) -> dict[str, list[Figures]]:
    """Find training logs in the record: lists of entries with a `step` or an `epoch`, by what was trained."""
    language = figures.get("language_training", {}).get("curve", [])
    found: dict[str, list[Figures]] = {**figures.get("curves", {}), "language model": language}
    return {name: log for name, log in found.items() if len(log) > 1}


def training(logs: Mapping[str, Sequence[Figures]]) -> Any:
    """Draw every number of the training logs over steps or epochs, one panel each."""
    series = []
    for name, log in logs.items():
        along = "step" if "step" in log[0] else "epoch"
        # UAR tells what accuracy tells, and how well the measures are guessed is beside the point.
        every = dict.fromkeys(key for entry in log for key in entry if key not in (along, "seconds"))
        keys = [key for key in every if not key.startswith("r_") and not key.endswith("accuracy")]
        series += [(f"{name}: {key.replace('_', ' ')}", along, key, log) for key in keys]
    figure, axes = _panels(len(series), 3, (2.6, 1.9))
    for axis, (title, along, key, log) in zip(axes, series, strict=True):
        there = [entry for entry in log if key in entry]
        steps, values = [entry[along] for entry in there], [entry[key] for entry in there]
        axis.plot(steps, values, ".-", color=_BLUE, lw=1.3, ms=3)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(along)
        axis.grid(color="#DDDDDD", lw=0.6)
    return figure


def main(argv: list[str] | None = None) -> int:
    """Draw the figures of one split."""
    parser = argparse.ArgumentParser(prog="python -m training.plots", description=main.__doc__)
    parser.add_argument("--figures", type=Path, default=record.FIGURES)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--folder", type=Path, default=Path("docs/images/emer-nano"))
    options = parser.parse_args(argv)
    drawn = draw_all(record.read(options.figures), options.split, options.folder)
    for path in drawn:
        print(f"{path} {path.stat().st_size / 1e3:.1f} kB", file=sys.stderr)
    return 0 if drawn else 1


if __name__ == "__main__":
    raise SystemExit(main())
