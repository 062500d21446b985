"""The pencil of every plot: SVG text with a title and words. Knows no figure and no axis.

Colours are classes (`ink`, `soft`, `on`, `bar`, `cell`, `rule`), so that a page can follow the wish for
light or dark; a picture that stands alone carries `STYLE`. Every word is escaped; nothing points outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

PALETTE = ("#2f6db5", "#e0912f", "#4f9d69", "#b5493f", "#7d5ba6", "#3aa6a6", "#8c7851", "#c05c94")
"""Colours that differ in hue and in lightness."""
STYLE = (
    "text{font:12px system-ui,sans-serif}.ink{fill:#1d2530}.soft{fill:#586577}.on{fill:#fff}"
    ".bar,.cell{fill:#2f6db5}.rule{stroke:#9aa4b1;fill:none}"
)


def picture(width: float, height: float, title: str, parts: Sequence[str], style: str = "") -> str:
    """An SVG element of that size with `title` at its top and `parts` inside; `style` is CSS of its own."""
    inside = (f"<style>{style}</style>" if style else "") + "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<text x="8" y="16" class="ink" font-weight="600">{escape(title)}</text>{inside}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", tone: str = "ink", full: str = "") -> str:
    """Words at a place; `full` shows where the pointer rests, if it says more."""
    hint = f"<title>{escape(full)}</title>" if full and full != words else ""
    place = f'x="{x:.1f}" y="{y:.1f}" class="{tone}" text-anchor="{anchor}"'
    return f"<text {place}>{hint}{escape(words)}</text>"


def shorten(words: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where some were cut."""
    return words if len(words) <= length else f"{words[: length - 1]}…"
