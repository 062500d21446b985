"""Writes a comparison as one HTML page that needs nothing else: no script, no font, no request.

Knows scored systems and markup. Does not know how figures come about, nor colours (`report_style`). Every
word is escaped, and the page's own policy forbids any load from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from emer_edge.evaluate.answer_labels import NAME
from emer_edge.evaluate.compare import Comparison
from emer_edge.evaluate.measures import Scored
from emer_edge.evaluate.report_clips import worst_clips
from emer_edge.evaluate.report_style import STYLE
from emer_edge.evaluate.show import (
    comparison_rows,
    faithfulness_rows,
    fault_line,
    figure_rows,
    percent,
    title,
    with_interval,
)
from emer_edge.evaluate.svg import heat_map, reliability_diagram

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_PILLS = {"reference": "accent", "noise": "", "differs": "bad"}


def render(comparison: Comparison, facts: Mapping[str, str]) -> str:
    """The page.

    Args:
        comparison: one system or several.
        facts: title -> text, what the reader should know of how this came about (command, date, pack).
    """
    data = comparison.data
    alone = len(comparison.systems) == 1
    first = comparison.systems[0]
    heading = f"{first.system.name} on {data.name}" if alone else f"{data.name}: systems side by side"
    failed = f", {first.failed} failed" if alone and first.failed else ""
    many = "" if alone else f" · {len(comparison.systems)} systems"
    parts = [
        f"<header><h1>{escape(heading)}</h1><div class=soft>{len(first.rows)} clips{failed}{many} · "
        "percent, with 95 % intervals</div></header>",
        _tiles(comparison),
    ]
    if not alone:
        parts += [_card("", _table(comparison_rows(comparison))), _bars(comparison)]
    parts += [_system(one, alone=alone) for one in comparison.systems]
    parts += ["<h2>How this came about</h2>", _facts(comparison, facts), _notes(comparison)]
    return _page(heading, "\n".join(parts))


def _tiles(comparison: Comparison) -> str:
    """The headline figures of the reference, large."""
    named = {one.system.name: one for one in comparison.systems}
    best = named[comparison.reference]
    tiles = []
    for name in comparison.columns[:6]:
        estimate = best.estimates[name]
        if np.isnan(estimate.value):
            continue
        tiles.append(
            f"<div class=card><span>{escape(title(name))}</span><b>{percent(estimate.value)}</b>"
            f"<span>{percent(estimate.low)} to {percent(estimate.high)}</span></div>"
        )
    whose = "" if len(named) == 1 else f"<h2>{escape(best.system.name)}, the reference</h2>"
    return f"{whose}<div class=tiles>{''.join(tiles)}</div>"


def _bars(comparison: Comparison) -> str:
    """The deciding figure of every system as a bar with its interval."""
    found = [(one.system.name, one.estimates[comparison.figure]) for one in comparison.systems]
    highs = [estimate.high for _, estimate in found if np.isfinite(estimate.high)]
    top = max(min(1.0, max(highs, default=1.0) * 1.05), 1e-9)
    rows = []
    for name, estimate in found:
        known = not np.isnan(estimate.value)
        inside = f"<i style='width:{100 * estimate.value / top:.1f}%'></i>" if known else ""
        if np.isfinite(estimate.low) and np.isfinite(estimate.high):
            left, width = 100 * estimate.low / top, 100 * (estimate.high - estimate.low) / top
            inside += f"<u style='left:{left:.1f}%;width:{width:.1f}%'></u>"
        mark = " reference" if name == comparison.reference else ""
        rows.append(
            f"<span class=name title='{escape(name)}'>{escape(name)}</span>"
            f"<span class='track{mark}'>{inside}</span>"
            f"<span class=value>{f'{100 * estimate.value:.1f}' if known else 'none'}</span>"
        )
    return _card(
        f"{title(comparison.figure)}, % with 95 % intervals", f"<div class=bars>{''.join(rows)}</div>"
    )


def _facts(comparison: Comparison, facts: Mapping[str, str]) -> str:
    data, first = comparison.data, comparison.systems[0]
    words = first.details.get("wheels", first.details.get("hits", {})).get("vocabulary", {})
    known: dict[str, str] = {
        "Data": f"{data.name} ({data.kind}), {len(data)} rows, {len(first.rows)} scored",
        "Digest of the data": data.sha256,
        "Truth": str(first.details.get("truth_from", "")),
        "Judge": str(first.details.get("clue_overlap", {}).get("judge", "")),
        "Cues": " · ".join(str(first.details.get("cues", {}).get(key, "")) for key in ("read_by", "encoder")),
    }
    if words:
        known["Words and wheels"] = f"{words['name']}, revision {words['revision']}, {words['sha256']}"
        known["Sources of the words"] = "; ".join(words["sources"])
    rows = [(name, text) for name, text in {**known, **facts}.items() if text.strip(" ·")]
    cells = "".join(f"<tr><td>{escape(n)}</td><td>{escape(t)}</td></tr>" for n, t in rows)
    return _card("", f"<table class=facts>{cells}</table>")


def _notes(comparison: Comparison) -> str:
    drawn = "clips" if comparison.systems[0].groups is None else "whole groups (speakers, videos, dialogues)"
    notes = [
        f"Figures are percent; intervals are 95 % percentile bootstrap intervals over {drawn}.",
        "Differences are paired on the same clips; p is corrected after Holm; noise: p is 0.05 or more.",
    ]
    if "clue_overlap" in comparison.systems[0].figures:
        notes.append(
            "Overlaps are a judge's 1 to 10, shown as percent of 10. Scores of different judges, and the "
            "published ones of GPT-3.5, are not comparable."
        )
    if any(one.system.labels_from == NAME for one in comparison.systems):
        notes.append(
            "Labels of some systems were read from their texts by our rules, not by the language model that "
            "the papers asked; such figures are not comparable with published ones."
        )
    if comparison.systems[0].details.get("truth_from") == NAME:
        notes.append("The truth is text; its labels were read by the same rules.")
    return "".join(f"<p class=note>{escape(note)}</p>" for note in notes)


def _system(one: Scored, *, alone: bool) -> str:
    cards = [_card("All figures", _table(figure_rows(one)))]
    if one.calibration is not None:
        found = one.calibration
        words = (
            f"<p class=note>Expected calibration error {escape(with_interval(found.ece))} % over "
            f"{found.items} clips. Accuracy of the surest 80 %: "
            f"{percent(found.accuracy_at_80_percent)} %.</p>"
        )
        diagram = reliability_diagram(found.reliability, "Confidence and how often it was right")
        cards.append(_card("Calibration", diagram + words))
    body = [f"<div class=pair>{''.join(cards)}</div>"]
    if one.faithfulness is not None:
        line = f"<p class=note>{escape(fault_line(one.faithfulness))}</p>"
        body.append(_headed("Are the explanations true?", _table(faithfulness_rows(one.faithfulness)) + line))
    maps = "".join(_card("", f"<div class='scroll map'>{drawn}</div>") for drawn in _confusions(one))
    body += [f"<h2>Confusion</h2><div class=pair>{maps}</div>"]
    if worst := worst_clips(one):
        body.append(_headed("Worst clips", worst))
    if alone:
        return "\n".join(body)
    name = escape(one.system.name)
    return f"<details><summary>{name}</summary>{''.join(body)}</details>"


def _confusions(one: Scored) -> Iterable[str]:
    for name, (words, weights) in one.confusions.items():
        rest = "none missing" if name != "classes" else ""
        yield heat_map(words, weights, "Classes" if name == "classes" else f"Wheel {name}, inner ring", rest)


def _headed(heading: str, body: str) -> str:
    return f"<h2>{escape(heading)}</h2>{_card('', body)}"


def _card(heading: str, body: str) -> str:
    head = f"<h3>{escape(heading)}</h3>" if heading else ""
    return f"<div class=card>{head}{body}</div>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = []
    for row in rows[1:]:
        mark = " class=reference" if row[-1] == "reference" else ""
        body.append(f"<tr{mark}>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>")
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f"<div class=scroll>{table}</div>"


def _cell(text: str) -> str:
    """A verdict as a pill, an interval below its value, anything else as it is."""
    if text in _PILLS:
        return f"<span class='pill {_PILLS[text]}'>{text}</span>"
    value, bracket, interval = text.partition(" [")
    if bracket and interval.endswith("]"):
        return f"{escape(value)}<small>{escape(interval[:-1].replace(', ', ' to '))}</small>"
    return escape(text)


def _page(heading: str, body: str) -> str:
    # Half a character can't be written as UTF-8; whoever wrote the text, the page has to be written.
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head><body><main>\n{body}\n</main></body></html>\n"
    )
    return page.encode("utf-8", "replace").decode()
