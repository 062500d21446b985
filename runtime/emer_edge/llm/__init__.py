"""The language model room: soft tokens and words in, words out. Import from its modules."""

from __future__ import annotations
