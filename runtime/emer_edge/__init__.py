"""emer-edge: what the person in a clip feels, and why, on the device itself.

import emer_edge as ee

    with ee.load("emer-nano") as reasoner:
        reasoning = reasoner.infer("clip.mp4")
        print(reasoning.emotions, reasoning.text)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emer_edge._core import CancelToken as CancelToken
    from emer_edge.answers import Options as Options
    from emer_edge.errors import EmerError as EmerError
    from emer_edge.limits import Limits as Limits
    from emer_edge.pipeline import Event as Event
    from emer_edge.pipeline import Perception as Perception
    from emer_edge.reasoner import Reasoner as Reasoner
    from emer_edge.reasoner import load as load
    from emer_edge.reasoner import probe as probe
    from emer_edge.results import Alone as Alone
    from emer_edge.results import Clip as Clip
    from emer_edge.results import Clue as Clue
    from emer_edge.results import Cue as Cue
    from emer_edge.results import Emotion as Emotion
    from emer_edge.results import Reasoning as Reasoning
    from emer_edge.results import Timings as Timings
    from emer_edge.results import Used as Used

# Names are fetched when they are first used, so that `emer-edge --help` needs neither numpy nor an engine.
_HOMES = {
    "CancelToken": "_core",
    "EmerError": "errors",
    "Limits": "limits",
    "Event": "pipeline",
    "Options": "answers",
    "Perception": "pipeline",
    "Reasoner": "reasoner",
    "load": "reasoner",
    "probe": "reasoner",
    "Alone": "results",
    "Clip": "results",
    "Clue": "results",
    "Cue": "results",
    "Emotion": "results",
    "Reasoning": "results",
    "Timings": "results",
    "Used": "results",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'emer_edge' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"emer_edge.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
