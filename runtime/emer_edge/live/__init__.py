"""Streams: windows over pushed frames, sound and words, with deadlines."""

from __future__ import annotations
