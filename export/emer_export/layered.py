"""Several checkpoints as one, side by side or over one another.

Knows names. Does not know files or models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from emer_export.weights import Checkpoint


class Gathered(Checkpoint):
    """Tensors that lie in several checkpoints; whoever makes one says which name lies in which."""

    _held: Mapping[str, Checkpoint]

    def names(self) -> tuple[str, ...]:
        """All names, in the order they were gathered."""
        return tuple(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor. Raises PackError when there is none of that name."""
        return self._find(name).shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """The type of one tensor."""
        return self._find(name).dtype(name)

    def _read(self, name: str, start: int, stop: int) -> Tensor:
        return self._find(name)._read(name, start, stop)

    def _find(self, name: str) -> Checkpoint:
        if name not in self._held:
            raise self._unknown(name)
        return self._held[name]


class Layered(Gathered):
    """Checkpoints over one another, the last on top.

    >>> from emer_export.weights import Arrays
    >>> both = Layered([Arrays({"a": [1.0], "b": [2.0]}, "base"), Arrays({"b": [3.0]}, "tuned")])
    >>> both.names(), float(both.tensor("b")[0])
    (('a', 'b'), 3.0)
    """

    def __init__(self, layers: Sequence[Checkpoint]) -> None:
        self.origin = " + ".join(dict.fromkeys(layer.origin for layer in layers))
        self._held = {name: layer for layer in layers for name in layer.names()}
