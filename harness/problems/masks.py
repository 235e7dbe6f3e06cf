"""The dropout masks that ``exact`` runs of all backends share: a stream of its own for each layer and step.

They depend on the step and the layer alone; which sample meets which mask, on the batch order, and so on the seed.
"""

from zlib import crc32

import numpy as np

from harness.spec.architecture import places
from harness.spec.layers import Dropout, Layer, Shape

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def masks(model: tuple[Layer, ...], inputs: Shape, step: int, samples: int) -> dict[str, Floats]:
    """By the layer's name, m/(1 − p) of every dropout at a step (from 0): shape (samples, …), values 0 or 1/(1 − p)."""
    return {
        place.name: _mask(place.name, place.layer.rate, step, (samples, *place.inputs))
        for place in places(model, inputs)
        if isinstance(place.layer, Dropout)
    }


def _mask(name: str, rate: float, step: int, shape: Shape) -> Floats:
    kept = np.random.default_rng([crc32(name.encode()), step]).random(shape) >= rate
    return kept / (1 - rate)
