"""Where dropout's masks come from: the harness's for ``exact``, else NumPy's own generator, or CuPy's."""

from collections.abc import Mapping

import numpy as np

from backends.numpy.device import Device
from backends.numpy.flat import Array
from harness.problems.masks import masks
from harness.spec.architecture import places
from harness.spec.layers import Dropout, Layer, Shape

Buffers = Mapping[str, Array]  # by the layer's name, (samples, …)


class Shared:
    """The masks that all backends share."""

    def __init__(self, model: tuple[Layer, ...], inputs: Shape, device: Device) -> None:
        self.model, self.inputs, self.device = model, inputs, device

    def write(self, buffers: Buffers, step: int) -> None:
        """The masks of a step, from 0."""
        samples = len(next(iter(buffers.values())))
        for name, mask in masks(self.model, self.inputs, step, samples).items():
            self.device.write(buffers[name], mask)

    def reset(self) -> None:
        """Nothing is kept."""

    def peek(self, buffers: Buffers, step: int) -> None:
        """The masks of the coming step, for a look."""
        self.write(buffers, step)


class Drawn:
    """Masks drawn in place, one after another, from a generator that starts over with the run."""

    def __init__(self, model: tuple[Layer, ...], inputs: Shape, device: Device) -> None:
        self.device = device
        self.rates = {p.name: p.layer.rate for p in places(model, inputs) if isinstance(p.layer, Dropout)}
        self.reset()

    def write(self, buffers: Buffers, step: int) -> None:
        """The next masks, whatever the step."""
        for name, mask in buffers.items():
            rate = self.rates[name]
            self.device.draw(self.generator, mask)
            np.greater_equal(mask, rate, out=mask)
            np.multiply(mask, 1 / (1 - rate), out=mask)

    def reset(self) -> None:
        """Back to the first masks."""
        self.generator = self.device.generator()

    def peek(self, buffers: Buffers, step: int) -> None:
        """The next masks, which then are still the next."""
        with self.device.undrawn(self.generator):
            self.write(buffers, step)


Masks = Shared | Drawn
