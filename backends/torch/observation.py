"""What is seen of a step: hooks on the modules and on their outputs, there for that step alone.

Everything is reduced in float64, in which the square of a small float32 is not 0, and stays on the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.observation import BINS, EDGES, Layout, Watched
from harness.spec.job import Level

if TYPE_CHECKING:
    from backends.torch.trainer import TorchTrainer

DOUBLE = torch.float64


class Observer:
    """Observed steps of a trainer; the loss is never compiled, for hooks would be compiled with it."""

    def __init__(self, trainer: TorchTrainer, level: Level) -> None:
        self.trainer, self.layout, self.whole = trainer, Layout(trainer.task, level), level != "minimal"
        self.zero = torch.zeros((), dtype=DOUBLE, device=trainer.device)
        self.outputs: dict[str, Tensor] = {}
        self.signals: dict[str, Tensor] = {}
        self.active: dict[str, Tensor] = {}
        self.counted: dict[str, Tensor] = {}
        self.edges = torch.tensor(EDGES, dtype=DOUBLE, device=trainer.device)

    def step(self, row: Tensor) -> Tensor:
        """Make one step on these samples; the row of what was seen."""
        trainer = self.trainer
        with self._looking():
            loss, penalty = trainer.backward(row)
        with torch.no_grad():
            seen = [*self._update(), *self._looked()]
        head = torch.stack([loss.double(), self.zero if penalty is None else penalty.double()])
        return torch.cat([head, *seen])

    def _update(self) -> list[Tensor]:
        """Clip, update, forget the gradients; what was seen of the tensors."""
        update, weights = self.trainer.update, list[Tensor](self.trainer.weights)
        gradients = [w.grad for w in weights if w.grad is not None]
        raw = _norms(gradients)
        kept = (gradients, weights) if self.whole else ((), ())
        g, before = ([one.detach().clone() for one in tensors] for tensors in kept)
        if update.clip is not None:
            update.clip()
        clipped = _norms(gradients)
        update.apply()
        update.forget()
        if not self.whole:
            return [raw, clipped]
        sizes = torch.tensor([one.numel() for one in g], dtype=DOUBLE, device=raw.device)
        delta = list(torch._foreach_sub(weights, before))
        moved = [torch.logical_or(d, one == 0) for d, one in zip(delta, g, strict=True)]
        last, self.trainer.last = self.trainer.last, (g, raw)
        return [
            raw,
            clipped,
            _norms(delta),
            _norms(before),
            *(torch.stack(torch._foreach_norm(each, math.inf, DOUBLE)) for each in (g, delta, before)),
            self._counts(g, sizes),
            self._counts(moved, sizes),
            torch.zeros_like(raw) if self._all_finite(raw) else self._counts([torch.isfinite(one) for one in g], sizes),
            raw * math.nan if last is None else _products(g, last[0]) / raw / last[1],
        ]

    def _looked(self) -> list[Tensor]:
        """What was seen of the layers, in the row's order."""
        if not self.layout.layers:
            return []
        found = [
            torch.stack([self.outputs[layer.name] for layer in self.layout.layers], dim=1).flatten(),
            torch.stack([self.signals.get(layer.name, self.zero) for layer in self.layout.layers]),
            *(self.active[layer.name] for layer in self.layout.layers if layer.units),
            *(self.counted[layer.name] for layer in self.layout.layers if self.layout.bins),
        ]
        for seen in (self.outputs, self.signals, self.active, self.counted):
            seen.clear()
        return found

    @contextmanager
    def _looking(self) -> Iterator[None]:
        modules = ((layer, self.trainer.module.get_submodule(layer.name)) for layer in self.layout.layers)
        handles = [module.register_forward_hook(partial(self._forward, layer)) for layer, module in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _forward(self, layer: Watched, _: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor | None:
        same = y is inputs[0]  # of an identity: what comes back to it is not all that comes back to its input
        if same:
            y = y.view_as(y)
        with torch.no_grad():
            self.outputs[layer.name] = self._of_output(layer, y.detach().double())
            if layer.units:
                self.active[layer.name] = torch.count_nonzero(y.reshape(-1, layer.units), dim=0).double()
            if self.layout.bins:
                self.counted[layer.name] = self._histogram(y.detach().double().flatten())
        if y.requires_grad:
            y.register_hook(partial(self._back, layer.name))  # type: ignore[no-untyped-call]
        return y if same else None

    def _of_output(self, layer: Watched, y: Tensor) -> Tensor:
        norm, zeros, nonfinite, saturated = torch.linalg.vector_norm(y), torch.count_nonzero(y), self.zero, self.zero
        if not self._all_finite(norm):
            nonfinite = y.numel() - torch.count_nonzero(torch.isfinite(y)).double()
        if layer.bounds is not None:
            low, high = layer.bounds
            saturated = torch.count_nonzero(torch.logical_or(y < low, y > high)).double()
        return torch.stack([y.mean(), norm, y.numel() - zeros.double(), saturated, nonfinite])

    def _histogram(self, y: Tensor) -> Tensor:
        bins = torch.bucketize(torch.where(torch.isfinite(y), y, self.zero), self.edges, right=True)
        return torch.bincount(bins, minlength=BINS).double()

    def _all_finite(self, norms: Tensor) -> bool:
        """Whether that is known: a finite norm has finite numbers. On a GPU nobody waits to ask."""
        return self.trainer.device.type == "cpu" and math.isfinite(float(norms.sum()))

    def _counts(self, tensors: list[Tensor], sizes: Tensor) -> Tensor:
        """How many numbers of each are 0."""
        return sizes - torch.stack([torch.count_nonzero(one) for one in tensors]).double()

    def _back(self, name: str, delta: Tensor) -> None:
        self.signals[name] = torch.linalg.vector_norm(delta, dtype=DOUBLE)


def _norms(tensors: list[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(tensors, 2, DOUBLE))


def _products(left: list[Tensor], right: list[Tensor]) -> Tensor:
    return torch.stack([torch.sum(a.double() * b.double()) for a, b in zip(left, right, strict=True)])
