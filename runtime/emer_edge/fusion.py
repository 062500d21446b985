"""Encoder embeddings to soft tokens.

Knows shapes and errors. The arithmetic is native, the weights are a pack's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge.errors import EmerError, InputError, PackError
from emer_edge.safetensors import read_safetensors

Rows: TypeAlias = NDArray[np.float32]


class FusionShape(Protocol):
    """What a pack declares about its fusion."""

    @property
    def kind(self) -> str:
        """`attention`, `mean` or `tokens`."""

    @property
    def vision_dim(self) -> int:
        """Length of one vision embedding."""

    @property
    def audio_dim(self) -> int:
        """Length of one audio embedding."""

    @property
    def model_dim(self) -> int:
        """Length of one soft token."""


class FusionFile(FusionShape, Protocol):
    """Beside it, the file with the weights."""

    @property
    def path(self) -> str:
        """In the pack's folder; empty for the kind `tokens`."""


class Fusing(Protocol):
    """What makes soft tokens of embeddings."""

    def fuse(self, vision: Rows | None, audio: Rows | None) -> dict[str, Rows]:
        """Embeddings of one clip to its soft tokens by name."""
        ...


def open_fusion(folder: Path, spec: FusionFile) -> Fusing:
    """The fusion of a pack. Raises as `Fusion.load`."""
    if spec.kind == "tokens":
        return SoftTokens(spec.model_dim)
    return Fusion.load(folder / spec.path, spec)


class SoftTokens:
    """No fusion at all: the embeddings are soft tokens already, as where Q-Formers lie in the encoders.

    Args:
        model_dim: length of one soft token.
    """

    def __init__(self, model_dim: int) -> None:
        self.model_dim = model_dim

    def fuse(self, vision: Rows | None, audio: Rows | None) -> dict[str, Rows]:
        """`vision` and `audio` as they are, each (k, model_dim) float32; no `multi`.

        Raises:
            InputError: another shape or type.
        """
        given = {"vision": vision, "audio": audio}
        found = {name: _rows(rows, self.model_dim, name) for name, rows in given.items()}
        return {name: rows for name, rows in found.items() if rows is not None}


class Fusion:
    """Pools embeddings over time, mixes the modalities, and projects to the width of the language model.

    `attention`, with h the embeddings, every capital letter a linear layer with bias, and no activation:

        audio  = P_a (sum_t s_t h_a[t]),  s_t = w_a . h_a[t] + b_a       (vision alike)
        v = E_v (mean_t h_v),  a = E_a (mean_t h_a),  g = F (M [v; a])
        multi  = P_m (g_0 v + g_1 a)

    `mean` takes 1 / T for every s_t and 1 / 2 for both g. The attention form is that of AffectGPT (arXiv
    2501.16566, `my_affectgpt/models/affectgpt.py`), which has the plain mean for vision and audio but none
    for the mixture: the equal gates are ours. Tensors are named and laid out as in its checkpoints.

    Args:
        kind: `attention` or `mean`.
        tensors: float32, `NAME.weight` [out, in] and `NAME.bias` [out].

    Raises:
        PackError: a tensor is missing, unknown, of another shape, or not finite.
    """

    def __init__(self, kind: str, tensors: Mapping[str, Rows]) -> None:
        try:
            self._core = _core.Fusion(kind, dict(tensors))
        except _core.CoreError as error:
            raise _to_emer(error) from error
        self.vision_dim = self._core.vision_dim
        self.audio_dim = self._core.audio_dim
        self.model_dim = self._core.model_dim

    @classmethod
    def load(cls, path: str | Path, shape: FusionShape) -> Fusion:
        """Read the weights of a pack.

        Args:
            path: a safetensors file, F32, F16 or BF16.
            shape: what the pack's manifest declares.

        Raises:
            PackError: the file is broken or does not have the shape that the manifest declares.
        """
        path = Path(path)
        fusion = cls(shape.kind, read_safetensors(path))
        got = (fusion.vision_dim, fusion.audio_dim, fusion.model_dim)
        declared = (shape.vision_dim, shape.audio_dim, shape.model_dim)
        if got != declared:
            raise PackError(
                f"{path.name} does not have the shape that its manifest declares.",
                f"Vision, audio and model widths are {got}, declared are {declared}.",
                "Export the pack again.",
            )
        return fusion

    def fuse(self, vision: Rows | None, audio: Rows | None) -> dict[str, Rows]:
        """Embeddings of one clip to its soft tokens; any number of threads may call.

        Args:
            vision: (T, vision_dim) float32, T at least 1; None without a picture.
            audio: (T, audio_dim) float32, T at least 1; None without sound.

        Returns:
            `multi` (only when both are given), `audio` and `vision`: each (1, model_dim) float32, finite.

        Raises:
            InputError: another shape or type, or numbers that are not finite.
            PackError: the result overflows single precision.
        """
        try:
            return self._core.fuse(
                _rows(vision, self.vision_dim, "vision"), _rows(audio, self.audio_dim, "audio")
            )
        except _core.CoreError as error:
            raise _to_emer(error) from error


def _rows(embeddings: Rows | None, dim: int, modality: str) -> Rows | None:
    if embeddings is None:
        return None
    if (
        not isinstance(embeddings, np.ndarray)
        or embeddings.dtype != np.float32
        or embeddings.ndim != 2
        or embeddings.shape[0] == 0
        or embeddings.shape[1] != dim
    ):
        kind = getattr(embeddings, "dtype", type(embeddings).__name__)
        raise InputError(
            f"The {modality} embeddings can't be fused.",
            f"They are {kind} {np.shape(embeddings)}, not float32 (T, {dim}).",
        )
    return np.require(embeddings, requirements=["C", "A"])


def _to_emer(error: _core.CoreError) -> EmerError:
    kind, what, why = error.args
    return InputError(f"{what}.", why) if kind == "input" else PackError(f"{what}.", why)
