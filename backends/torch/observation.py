"""What is seen of a step: hooks on the modules and on their outputs, there for that step alone.

Everything stays on the device. There float32 is reduced in float64, in which the square of a small one is not 0; on a
CPU, where that takes longer than to look at what was found, only where float32 may have lost something.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.observation import BINS, BITS, EXACT, FROM_ZERO, LAST, LEAST, MOST, Layout, Watched
from harness.spec.job import Level

if TYPE_CHECKING:
    from backends.torch.trainer import TorchTrainer

DOUBLE = torch.float64


class Flat:
    """Tensors like those given, one after the other in one vector."""

    def __init__(self, like: list[Tensor]) -> None:
        ends = list(itertools.accumulate(one.numel() for one in like))
        self.vector = like[0].new_empty(ends[-1])
        self.pieces = [self.vector[end - one.numel() : end] for one, end in zip(like, ends, strict=True)]
        self.views = [piece.view(one.shape) for one, piece in zip(like, self.pieces, strict=True)]


class Observer:
    """Observed steps of a trainer; the loss is never compiled, for hooks would be compiled with it."""

    def __init__(self, trainer: TorchTrainer, level: Level) -> None:
        self.trainer, self.layout, self.whole = trainer, Layout(trainer.task, level), level != "minimal"
        self.zero = torch.zeros((), dtype=DOUBLE, device=trainer.device)
        self.modules = [(layer, trainer.module.get_submodule(layer.name)) for layer in self.layout.layers]
        self.outputs: dict[str, Tensor] = {}
        self.signals: dict[str, Tensor] = {}
        if self.whole:
            # Made once: large ones that are made and dropped in each step go back to the system.
            self.before, self.delta, self.marks, *self.kept = (Flat(list(trainer.weights)) for _ in range(5))

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
        if self.whole:
            torch._foreach_copy_(self.kept[0].views, gradients)
            torch._foreach_copy_(self.before.views, weights)
        if update.clip is not None:
            update.clip()
        clipped = raw if update.clip is None else _norms(gradients)
        update.apply()
        update.forget()
        return [raw, clipped, *self._moved(weights, raw)] if self.whole else [raw, clipped]

    def _moved(self, weights: list[Tensor], raw: Tensor) -> list[Tensor]:
        """What a standard row says more of the tensors; ``raw`` are the norms of the gradients kept."""
        g, before, delta = self.kept[0], self.before, self.delta
        for w, old, d in zip(weights, before.views, delta.views, strict=True):
            torch.sub(w, old, out=d)
        norms = _norms([*delta.pieces, *before.pieces])
        largest = _largest([*g.pieces, *delta.pieces, *before.pieces])
        # As numbers: a comparison whose result is a bool takes five times as long. Of 0 and 1 sums are exact up to 2²⁴.
        torch.eq(g.vector, 0, out=self.marks.vector)
        torch.eq(delta.vector, 0, out=delta.vector)
        torch.gt(delta.vector, self.marks.vector, out=delta.vector)  # and there is a gradient
        zeros_and_frozen = torch.stack([_sum(one) for one in (*self.marks.pieces, *delta.pieces)])
        nonfinite = torch.zeros_like(raw)
        if not _finite(raw):
            nonfinite = torch.stack([_count(~torch.isfinite(one)) for one in g.pieces])
        last, self.trainer.last = self.trainer.last, (g.pieces, raw)
        self.kept.reverse()
        cosine = raw * math.nan if last is None else _products((g.pieces, raw), last) / raw / last[1]
        return [norms, largest, zeros_and_frozen, nonfinite, cosine]

    def _looked(self) -> list[Tensor]:
        """What was seen of the layers, in the row's order."""
        layers, outputs, signals = self.layout.layers, self.outputs, self.signals
        self.outputs, self.signals = {}, {}
        if not layers:
            return []
        ys = [outputs[layer.name] for layer in layers]
        norms = _norms(ys)
        means = [y.mean(dtype=y.dtype if sure else DOUBLE) for y, sure in zip(ys, _sure(norms, ys), strict=True)]
        zeros, active = [], []
        saturated, nonfinite = ([self.zero] * len(layers) for _ in range(2))
        for i, (layer, y) in enumerate(zip(layers, ys, strict=True)):
            there = torch.ne(y, 0, out=torch.empty_like(y))  # as numbers
            if layer.units:
                active.append(there.reshape(-1, layer.units).sum(dim=0).double())  # exact up to 2²⁴ samples
            zeros.append(y.numel() - (active[-1].sum() if layer.units else _sum(there)))
            if layer.bounds is not None:
                low, high = layer.bounds
                saturated[i] = _count(torch.logical_or(y < low, y > high))
        if not _finite(norms):
            nonfinite = [_count(~torch.isfinite(y)) for y in ys]
        of_outputs = means, list(norms.unbind()), zeros, saturated, nonfinite
        back = [signals.get(layer.name, self.zero) for layer in layers]
        histograms = [_histogram(y.flatten()) for y in ys if self.layout.bins]
        return [*(torch.stack(each) for each in (*of_outputs, back)), *active, *histograms]

    @contextmanager
    def _looking(self) -> Iterator[None]:
        handles = [module.register_forward_hook(partial(self._forward, layer)) for layer, module in self.modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _forward(self, layer: Watched, _: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor | None:
        same = y is inputs[0]  # of an identity: what comes back to it is not all that comes back to its input
        if same:
            y = y.view_as(y)
        self.outputs[layer.name] = y.detach()
        if y.requires_grad:
            y.register_hook(partial(self._back, layer.name))  # type: ignore[no-untyped-call]
        return y if same else None

    def _back(self, name: str, delta: Tensor) -> None:
        self.signals[name] = _length(delta)


def _histogram(y: Tensor) -> Tensor:
    """How many are in each bin, by their bits."""
    bits = BITS[str(y.dtype).removeprefix("torch.")]
    b = torch.nan_to_num(y, 0.0, 0.0, 0.0).add_(0.0).view(getattr(torch, bits.whole))  # of −0 it makes 0
    sign = b >> (bits.size - 1)
    b.bitwise_and_(torch.iinfo(b.dtype).max).add_(sign).bitwise_right_shift_(bits.shift).sub_(bits.offset)
    b.clamp_(0, LAST).bitwise_xor_(sign).add_(FROM_ZERO)
    return torch.bincount(b, minlength=BINS).double()


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


def _finite(norms: Tensor) -> bool:
    """Whether that is known: a finite norm has finite numbers. On a GPU nobody waits to ask."""
    return norms.device.type == "cpu" and math.isfinite(float(norms.sum()))


def _sure(norms: Tensor, tensors: list[Tensor]) -> list[bool]:
    """Of which tensors sums in their precision are known to have lost nothing. On a GPU nobody waits to ask."""
    if tensors[0].dtype == DOUBLE or norms.device.type != "cpu":
        return [tensors[0].dtype == DOUBLE] * len(tensors)
    return [LEAST <= norm <= MOST for norm in norms.tolist()]


def _count(v: Tensor) -> Tensor:
    """How many are not 0."""
    return torch.count_nonzero(v).double()


def _sum(v: Tensor) -> Tensor:
    """The sum of numbers that are 0 or 1."""
    return v.sum(dtype=DOUBLE if v.numel() > EXACT else None)


def _largest(tensors: list[Tensor]) -> Tensor:
    """The largest |·| of each; NaN where there is one."""
    lows, highs = zip(*(torch.aminmax(one) for one in tensors), strict=True)
    return torch.maximum(torch.stack(highs), -torch.stack(lows))


def _products(now: tuple[list[Tensor], Tensor], last: tuple[list[Tensor], Tensor]) -> Tensor:
    """The inner products of two gradients' tensors, each in one dimension, given with their norms."""
    (these, norms), (those, before) = now, last
    sure = map(operator.and_, _sure(norms, these), _sure(before, those))
    return torch.stack(
        [
            torch.dot(a, b) if plain else torch.sum(a.double() * b.double())
            for a, b, plain in zip(these, those, sure, strict=True)
        ]
    )
