"""A node that prints what the emotion node tells, one JSON object a line."""

from __future__ import annotations

import pyarrow  # noqa: F401  before dora: see senses.py
from dora import Node


def main() -> None:
    """Print until the dataflow ends."""
    for event in Node():
        if event["type"] == "INPUT":
            print(event["value"][0].as_py(), flush=True)


if __name__ == "__main__":
    main()
