"""Dropout: by the masks that all backends share in ``exact``, torch's own in ``shipped``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from harness.backend import Floats, Origin
from harness.spec.layers import Dropout


class Masked(nn.Module):
    """y = x·mask in training, the mask m/(1 − p) handed in before each step."""

    mask: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask if self.training else x


def origin(exact: bool) -> Origin:
    """Where dropout comes from."""
    if exact:
        return Origin("composed", "x·mask", "nn.Dropout draws masks of its own")
    return Origin("native", "torch.nn", "nn.Dropout draws masks of its own")


def module(layer: Dropout, exact: bool) -> nn.Module:
    """A dropout that is told its masks, or that draws them."""
    return Masked() if exact else nn.Dropout(layer.rate)


class Draws:
    """The state of torch's generators as one run has left it, apart from what others draw in the same process.

    Every run draws the same masks, whatever its seed: which sample meets which mask depends on the batch order.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with self._aside():
            torch.manual_seed(0)
            self.state = self._now()

    @contextmanager
    def drawing(self, on: bool) -> Iterator[None]:
        """Draw from this state for the while; ``on``: the next time goes on from where this one ends."""
        with self._aside():
            torch.set_rng_state(self.state[0])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(self.state[1], self.device)
            yield
            if on:
                self.state = self._now()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            yield

    def _now(self) -> tuple[Tensor, ...]:
        here = (torch.get_rng_state(),)
        return (*here, torch.cuda.get_rng_state(self.device)) if self.device.type == "cuda" else here


def hand_in(network: nn.Module, masks: Mapping[str, Floats], like: Tensor) -> None:
    """Give each masked layer its mask, by its name, in the precision and on the device of ``like``."""
    for name, mask in masks.items():
        network.get_submodule(name).mask = torch.as_tensor(mask, dtype=like.dtype, device=like.device)
