"""Visits clips like `emer_edge.bench.serial`, with one stage made slower: what `gate` has to find.

Knows where each stage computes. `SLOWED_STAGE` names it, `SLOWED_SHARE` (0.15) says by how much.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from emer_edge import senses
from emer_edge.bench import serial
from emer_edge.encoders.audio import AudioEncoder
from emer_edge.encoders.vision import VisionEncoder
from emer_edge.llm.gguf import Llm

STAGES: dict[str, list[tuple[Any, str]]] = {
    "decode_video": [(senses, "_frames")],
    "faces": [(senses, "find_speaker")],
    "vision": [(VisionEncoder, "encode")],
    "audio": [(AudioEncoder, "encode")],
    "prefill": [(Llm, "decode")],
    "generate": [(Llm, "step")],
}


def slower(function: Callable[..., Any], share: float) -> Callable[..., Any]:
    """The same, after which a share of the CPU time it took is spent on nothing."""

    def call(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        out = function(*arguments, **named)
        ends = time.process_time() + share * (time.process_time() - began)
        while time.process_time() < ends:
            pass
        return out

    return call


def main() -> None:
    share = float(os.environ.get("SLOWED_SHARE", "0.15"))
    for place, name in STAGES[os.environ["SLOWED_STAGE"]]:
        setattr(place, name, slower(getattr(place, name), share))
    serial.serve(sys.argv[1])


if __name__ == "__main__":
    main()
