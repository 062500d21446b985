"""One HTML page of compared results: the table, what differs, the plots. Needs nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from emer_edge.bench.compare import differences, names_of, table
from emer_edge.bench.plots import latency_curves, roofline_plot, stage_bars

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1d2530;max-width:900px;margin:24px auto;padding:0 16px}"
    "table{border-collapse:collapse;margin:12px 0}td,th{padding:4px 14px 4px 0;text-align:left;"
    "border-bottom:1px solid #dde2e8;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto;"
    "display:block;margin:20px 0}.bad{color:#a12b1f}h1{font-size:22px}h2{font-size:17px;margin-top:28px}"
    ".scroll{overflow-x:auto}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def plots(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Every plot by the name of its file, without the ending."""
    found = {"stages": stage_bars(results), "latency": latency_curves(results)}
    for number, (name, result) in enumerate(zip(names_of(results), results, strict=True), 1):
        found[f"roofline-{number}"] = roofline_plot(result, name)
    return found


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """The whole page."""
    rows = table(results)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:])
    notes = "".join(
        f"<li{' class=bad' if line.startswith('not comparable') else ''}>{escape(line)}</li>"
        for line in differences(results)
    )
    pack = results[0]["pack"]
    title = f"{pack['name']} {pack['version']} on {len(results)} device{'s' if len(results) > 1 else ''}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
        f"<p>* too few queries for MLPerf's early stopping.</p>"
        f"<h2>What differs</h2><ul>{notes or '<li>nothing</li>'}</ul>{''.join(plots(results).values())}"
        f"</body></html>\n"
    )
