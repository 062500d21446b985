"""A model pack on disk: its manifest, its files, and where packs live."""

from __future__ import annotations
