"""HTTP, WebSocket and a page round one reasoner that lives in a process of its own."""

from __future__ import annotations
