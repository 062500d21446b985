"""Which torch graph reads which published encoder, and how its names become the graph's.

Knows the graphs by the names that family definitions use. Does not know families, files or ONNX.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emer_edge.errors import InputError
from emer_export.checkpoints import Checkpoint, load_module
from emer_export.graphs import clip_vision, hubert
from emer_export.graphs.kaldi_fbank import KaldiFbank

_WEIGHT_NORMS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)
_POSITION = "encoder.pos_conv_embed.conv."


@dataclass(frozen=True)
class Graph:
    """One kind of encoder.

    `build` makes the module from config.json; `names` gives a checkpoint the module's own names; `rows`
    tells the shape of one row of the input, from the module and the samples of a window; `dim` the width
    of an embedding.
    """

    input_name: str
    build: Callable[[Mapping[str, Any]], nn.Module]
    names: Callable[[Checkpoint], Checkpoint]
    rows: Callable[[Any, int], tuple[int, ...]]
    dim: Callable[[Any], int]


@dataclass(frozen=True)
class EncoderSource:
    """A published encoder whose names and shapes have been checked; nothing of it is in memory."""

    graph: Graph
    config: Mapping[str, Any]
    checkpoint: Checkpoint
    row: tuple[int, ...]
    dim: int
    matrix_items: int
    """Numbers in weights of matrix products, which INT8 makes a quarter as large."""
    items: int
    """Numbers in all weights."""
    tokens: int = 0
    """Soft tokens that one clip gives; 0 where each row of the input gives one embedding."""

    def load(self) -> nn.Module:
        """The module with its weights, float32. Raises PackError as `load_module`."""
        with torch.device("meta"):
            module = self.graph.build(self.config)
        module.to_empty(device="cpu")
        for part in module.modules():
            if isinstance(part, KaldiFbank):
                part.fill_constants()
        load_module(module, self.checkpoint, type(module).__name__)
        return module.eval()


def open_encoder(
    kind: str, config: Mapping[str, Any], checkpoint: Checkpoint, window_samples: int
) -> EncoderSource:
    """Hold a published encoder against the graph that reads it, without reading a tensor.

    Args:
        kind: `clip` or `hubert`.
        config: its config.json.
        checkpoint: its weights; parts that the graph has no use for are left out.
        window_samples: samples in one window of sound.

    Raises:
        InputError: no graph of that kind. PackError: names or shapes are not those of the graph.
    """
    graph = GRAPHS.get(kind)
    if graph is None:
        raise InputError(f"No graph is called {kind!r}.", todo=f"Use one of {', '.join(sorted(GRAPHS))}.")
    with torch.device("meta"):
        module = graph.build(config)
    state = module.state_dict()
    named = graph.names(checkpoint)
    named.require({name: tuple(value.shape) for name, value in state.items()}, type(module).__name__)
    matrices = sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))
    return EncoderSource(
        graph=graph,
        config=config,
        checkpoint=named,
        row=graph.rows(module, window_samples),
        dim=graph.dim(module),
        matrix_items=matrices,
        items=sum(value.numel() for value in state.values()),
    )


def _without(pattern: str) -> Callable[[str], str | None]:
    unused = re.compile(pattern)
    return lambda name: None if unused.fullmatch(name) else name


def _clip_names(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint.subset("", _without(clip_vision.UNUSED))


def _hubert_names(checkpoint: Checkpoint) -> Checkpoint:
    # A HubertForCTC and the like hold the encoder under its own prefix.
    if any(name.startswith("hubert.") for name in checkpoint.names()):
        checkpoint = checkpoint.subset("hubert.")
    return _Folded(checkpoint.subset("", _without(hubert.UNUSED)))


class _Folded(Checkpoint):
    """The checkpoint with its positional convolution's weight norm folded; one of either spelling, or
    none.
    """

    def __init__(self, base: Checkpoint) -> None:
        self.origin = base.origin
        self._base = base
        self._pair: tuple[str, str] | None = None
        for g, v in _WEIGHT_NORMS:
            if _POSITION + g in base and _POSITION + v in base:
                self._pair = (_POSITION + g, _POSITION + v)

    def names(self) -> tuple[str, ...]:
        if self._pair is None:
            return self._base.names()
        return tuple(
            self._target if name == self._pair[1] else name
            for name in self._base.names()
            if name != self._pair[0]
        )

    _target = f"{_POSITION}weight"

    def shape(self, name: str) -> tuple[int, ...]:
        return self._base.shape(self._stored(name))

    def dtype(self, name: str) -> torch.dtype:
        return torch.float32 if self._pair and name == self._target else self._base.dtype(name)

    def _stored(self, name: str) -> str:
        return self._pair[1] if self._pair and name == self._target else name

    def _read(self, name: str, start: int, stop: int) -> Tensor:
        if not (self._pair and name == self._target):
            return self._base._read(name, start, stop)
        g, v = (self._base.tensor(part).float() for part in self._pair)
        return hubert.fold_weight_norm(g, v)[start:stop]


GRAPHS: Mapping[str, Graph] = {
    "clip": Graph(
        "frames",
        lambda config: clip_vision.ClipVision(clip_vision.ClipVisionConfig.read(config)),
        _clip_names,
        lambda module, _samples: (3, module.config.image_size, module.config.image_size),
        lambda module: module.config.projection_dim,
    ),
    "hubert": Graph(
        "windows",
        lambda config: hubert.Hubert(hubert.HubertConfig.read(config)),
        _hubert_names,
        lambda _module, samples: (samples,),
        lambda module: module.config.hidden_size,
    ),
}
"""Kinds of encoders by the names that family definitions use."""
