"""The pencil of every plot: SVG text with a title, words, colours. Knows no figure and no axis.

Every word is escaped; nothing points outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

BLUE, GREY, INK = "#2f6db5", "#9aa4b1", "#1d2530"
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def picture(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A whole SVG element of that size, `title` at its top, with `parts` inside."""
    inside = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<text x="8" y="16" {FONT} font-weight="600" fill="{INK}">{escape(title)}</text>{inside}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", fill: str = INK, full: str = "") -> str:
    """Words at a place; `full` shows where the pointer rests, if it says more."""
    hint = f"<title>{escape(full)}</title>" if full and full != words else ""
    place = f'x="{x:.1f}" y="{y:.1f}" {FONT} fill="{fill}" text-anchor="{anchor}"'
    return f"<text {place}>{hint}{escape(words)}</text>"


def shorten(words: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where some were cut."""
    return words if len(words) <= length else f"{words[: length - 1]}…"
