"""emer-edge: what the person in a clip feels, and why, on the device itself."""

from __future__ import annotations
