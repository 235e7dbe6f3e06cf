"""What is seen of a step: hooks on the modules and on their outputs, there for that step alone.

Everything stays on the device. There float32 is reduced in float64, in which the square of a small one is not 0; on a
CPU, where that takes longer than to look at what was found, only where float32 may have lost something.
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
LEAST, MOST = 1e-12, 1e18  # norms between which float32's squares neither vanish (of 1e8 numbers) nor overflow


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
        clipped = raw if update.clip is None else _norms(gradients)
        update.apply()
        update.forget()
        if not self.whole:
            return [raw, clipped]
        sizes = torch.tensor([one.numel() for one in g], dtype=DOUBLE, device=raw.device)
        delta = list(torch._foreach_sub(weights, before))
        # Not 0 where w moved or had no gradient: a comparison whose result is not a bool is five times as quick.
        moved = [d.abs().add_(torch.eq(one, 0, out=torch.empty_like(one))) for d, one in zip(delta, g, strict=True)]
        last, self.trainer.last = self.trainer.last, (g, raw)
        return [
            raw,
            clipped,
            _norms(delta),
            _norms(before),
            *(torch.stack([one.abs().amax() for one in each]).double() for each in (g, delta, before)),
            self._counts(g, sizes),
            self._counts(moved, sizes),
            torch.zeros_like(raw) if self._all_finite(raw) else self._counts([torch.isfinite(one) for one in g], sizes),
            raw * math.nan if last is None else _products((g, raw), last) / raw / last[1],
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
            self.outputs[layer.name] = self._of_output(layer, y.detach())
            if self.layout.bins:
                self.counted[layer.name] = self._histogram(y.detach().double().flatten())
        if y.requires_grad:
            y.register_hook(partial(self._back, layer.name))  # type: ignore[no-untyped-call]
        return y if same else None

    def _of_output(self, layer: Watched, y: Tensor) -> Tensor:
        if layer.units:
            there = torch.ne(y, 0, out=torch.empty_like(y)).reshape(-1, layer.units)
            self.active[layer.name] = active = there.sum(dim=0).double()  # in float32 exact up to 2²⁴ samples
            there_all = active.sum()
        else:
            there_all = torch.count_nonzero(y).double()
        nonfinite, saturated = self.zero, self.zero
        norm, mean = _length(y), y.mean()
        if not self._all_finite(norm):
            nonfinite = y.numel() - torch.count_nonzero(torch.isfinite(y)).double()
        if y.dtype != DOUBLE and not _sure(norm):
            mean = y.double().mean()
        if layer.bounds is not None:
            low, high = layer.bounds
            saturated = torch.count_nonzero(torch.logical_or(y < low, y > high)).double()
        return torch.stack([mean.double(), norm, y.numel() - there_all, saturated, nonfinite])

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
        self.signals[name] = _length(delta)


def _norms(tensors: list[Tensor]) -> Tensor:
    """‖·‖ of each, in float64."""
    if tensors[0].dtype == DOUBLE or tensors[0].device.type != "cpu":
        return torch.stack(torch._foreach_norm(tensors, 2, DOUBLE))
    found = torch.stack(torch._foreach_norm(tensors)).double()
    for i, norm in enumerate(found.tolist()):
        if not LEAST <= norm <= MOST:
            found[i] = torch.linalg.vector_norm(tensors[i], dtype=DOUBLE)
    return found


def _length(v: Tensor) -> Tensor:
    """‖v‖ in float64."""
    return _norms([v])[0]


def _sure(norm: Tensor) -> bool:
    """Whether sums in float32 are known to have lost nothing. On a GPU nobody waits to ask."""
    return norm.device.type == "cpu" and LEAST <= float(norm) <= MOST


def _products(now: tuple[list[Tensor], Tensor], last: tuple[list[Tensor], Tensor]) -> Tensor:
    """The inner products of two gradients' tensors, given with their norms."""
    return torch.stack(
        [
            torch.dot(a.flatten(), b.flatten()).double()
            if a.dtype == DOUBLE or (_sure(p) and _sure(q))
            else torch.sum(a.double() * b.double())
            for a, b, p, q in zip(now[0], last[0], now[1], last[1], strict=True)
        ]
    )
