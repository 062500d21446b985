"""Optimises the language model: Muon for its matrices, AdamW for everything else, and a rate that follows
the clock.

Knows arithmetic only. Muon after Jordan et al. (2024): momentum whose matrix is made nearly orthogonal by
five Newton-Schulz steps; equal shapes are done together, in float32, since bfloat16 is slow where the CPU
lacks it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_A, _B, _C = 3.4445, -4.7750, 2.0315


def _orthogonal(matrices: Tensor) -> Tensor:
    x: Tensor = matrices / (matrices.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = _A * x + torch.baddbmm(_B * square, square, square, alpha=_C) @ x
    return x.transpose(1, 2) if tall else x


class Optimiser:
    """Both optimisers behind one step; `matrices` by Muon, `others` and the token `table` by AdamW."""

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        table: list[nn.Parameter],
        decay: float,
    ) -> None:
        self._decay = decay
        self._groups: dict[torch.Size, list[nn.Parameter]] = {}
        for matrix in matrices:
            self._groups.setdefault(matrix.shape, []).append(matrix)
        self._momentum = {shape: torch.zeros(len(group), *shape) for shape, group in self._groups.items()}
        self._adam = torch.optim.AdamW(
            [{"params": others}, {"params": table}], lr=1.0, betas=(0.9, 0.98), weight_decay=0.0
        )

    def step(self, muon_rate: float, adam_rate: float, table_rate: float) -> None:
        """Update from the gradients and clear them."""
        for shape, group in self._groups.items():
            momentum = self._momentum[shape]
            gradient = torch.stack([p.grad if p.grad is not None else torch.zeros_like(p) for p in group])
            momentum.mul_(0.95).add_(gradient)
            update = _orthogonal(gradient.add(momentum, alpha=0.95))
            # Keller Jordan's scale for tall matrices; RMS of one update then is about 1 / sqrt(columns).
            scale = max(1.0, shape[0] / shape[1]) ** 0.5 * muon_rate
            with torch.no_grad():
                for parameter, change in zip(group, update, strict=True):
                    parameter.mul_(1 - muon_rate * self._decay).sub_(change, alpha=scale)
                    parameter.grad = None
        for settings, wanted in zip(self._adam.param_groups, (adam_rate, table_rate), strict=True):
            settings["lr"] = wanted
        self._adam.step()
        self._adam.zero_grad()

    def state_dict(self) -> dict[str, object]:
        """Return what a later run needs to go on."""
        return {"momentum": list(self._momentum.values()), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up `state` again."""
        saved = state["momentum"]
        assert isinstance(saved, list)
        for own, other in zip(self._momentum.values(), saved, strict=True):
            own.copy_(other)
        adam = state["adam"]
        assert isinstance(adam, dict)
        self._adam.load_state_dict(adam)


def rate(share: float, steps: int, *, warm_up: int, decay_from: float) -> float:
    """Return the factor of the learning rate: linear warm-up by steps, flat, then linear decay by `share`
    of the time.
    """
    warm = min(1.0, (steps + 1) / warm_up)
    if share <= decay_from:
        return warm
    return warm * max(0.0, (1 - share) / (1 - decay_from))
