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

from harness.observation import BINS, BITS, EXACT, FROM_ZERO, LAST, LEAST, MOST, Layout, Watched
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
        weights = list[Tensor](trainer.weights) if self.whole else []
        # Made once: large ones that are made and dropped in each step go back to the system.
        buffers = [[torch.empty_like(w, requires_grad=False) for w in weights] for _ in range(5)]
        self.before, self.delta, self.marks, *self.kept = buffers

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
            torch._foreach_copy_(self.kept[0], gradients)
            torch._foreach_copy_(self.before, weights)
        if update.clip is not None:
            update.clip()
        clipped = raw if update.clip is None else _norms(gradients)
        update.apply()
        update.forget()
        return [raw, clipped, *self._moved(weights, raw)] if self.whole else [raw, clipped]

    def _moved(self, weights: list[Tensor], raw: Tensor) -> list[Tensor]:
        """What a standard row says more of the tensors; ``raw`` are the norms of the gradients kept."""
        g, before, delta = self.kept[0], self.before, self.delta
        for w, old, d in zip(weights, before, delta, strict=True):
            torch.sub(w, old, out=d)
        norms = [_norms(delta), _norms(before)]
        largest = [torch.stack([_largest(one) for one in each]).double() for each in (g, delta, before)]
        # As numbers: a comparison whose result is a bool takes five times as long. Of 0 and 1 sums are exact up to 2²⁴.
        zero = [torch.eq(one, 0, out=at) for one, at in zip(g, self.marks, strict=True)]
        stands = [torch.eq(d, 0, out=d) for d in delta]
        zeros = _sums(zero)
        frozen = _sums(stands) - _sums([at.mul_(d) for at, d in zip(zero, stands, strict=True)])
        nonfinite = torch.zeros_like(raw)
        if not self._all_finite(raw):
            nonfinite = torch.stack([_count(~torch.isfinite(one)) for one in g])
        last, self.trainer.last = self.trainer.last, (g, raw)
        self.kept.reverse()
        cosine = raw * math.nan if last is None else _products((g, raw), last) / raw / last[1]
        return [*norms, *largest, zeros, frozen, nonfinite, cosine]

    def _looked(self) -> list[Tensor]:
        """What was seen of the layers, in the row's order."""
        layers, outputs, signals = self.layout.layers, self.outputs, self.signals
        self.outputs, self.signals = {}, {}
        if not layers:
            return []
        ys = [outputs[layer.name] for layer in layers]
        norms, active = _norms(ys), {}
        zeros, saturated, nonfinite = [], [self.zero] * len(ys), [self.zero] * len(ys)
        for i, (layer, y) in enumerate(zip(layers, ys, strict=True)):
            there = torch.ne(y, 0, out=torch.empty_like(y))
            if layer.units:
                # In float32 exact up to 2²⁴ samples.
                active[layer.name] = each = there.reshape(-1, layer.units).sum(dim=0).double()
                zeros.append(y.numel() - each.sum())
            else:
                zeros.append(y.numel() - _sums([there])[0])
            if layer.bounds is not None:
                low, high = layer.bounds
                saturated[i] = _count(torch.logical_or(y < low, y > high))
        if not self._all_finite(norms):
            nonfinite = [_count(~torch.isfinite(y)) for y in ys]
        sure = norms.tolist() if norms.device.type == "cpu" else []
        means = [
            y.mean().double() if y.dtype == DOUBLE or (sure and LEAST <= sure[i] <= MOST) else y.double().mean()
            for i, y in enumerate(ys)
        ]
        return [
            *(torch.stack(each) for each in (means, list(norms.unbind()), zeros, saturated, nonfinite)),
            torch.stack([signals.get(layer.name, self.zero) for layer in layers]),
            *active.values(),
            *(_histogram(y.flatten()) for y in ys if self.layout.bins),
        ]

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
        self.outputs[layer.name] = y.detach()
        if y.requires_grad:
            y.register_hook(partial(self._back, layer.name))  # type: ignore[no-untyped-call]
        return y if same else None

    def _all_finite(self, norms: Tensor) -> bool:
        """Whether that is known: a finite norm has finite numbers. On a GPU nobody waits to ask."""
        return self.trainer.device.type == "cpu" and math.isfinite(float(norms.sum()))

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


def _count(v: Tensor) -> Tensor:
    """How many are not 0."""
    return torch.count_nonzero(v).double()


def _sums(tensors: list[Tensor]) -> Tensor:
    """The sum of each, of numbers that are 0 or 1."""
    return torch.stack([one.sum(dtype=DOUBLE if one.numel() > EXACT else None) for one in tensors]).double()


def _largest(v: Tensor) -> Tensor:
    """The largest |v|; NaN where there is one."""
    return torch.maximum(v.amax(), -v.amin())


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
