"""What is known of weights before they are drawn, and how far steps may take them."""

import math
from typing import TypeVar

import numpy as np

from harness.spec.initialisations import Initialisation, Orthogonal, Scaled, SmallNormal, Zeros
from harness.spec.layers import Shape

Norms = TypeVar("Norms", float, np.ndarray[tuple[int, ...], np.dtype[np.float64]])
MATTERS = 0.05  # of a tensor's norm: a smaller change is no fault of weights, whoever made it


def variance(initialisation: Initialisation, shape: Shape, fans: tuple[int, int]) -> float:
    """Of one weight, mean 0, of a tensor of canonical shape (…, outputs), for a gate that of one gate.

    Glorot & Bengio 2010: 2/(fan_in + fan_out). He et al. 2015: 2/fan_in. LeCun et al. 1998: 1/fan_in. Orthogonal: rows
    or columns of norm ``gain``, whichever are fewer.
    """
    match initialisation:
        case Zeros():
            return 0.0
        case SmallNormal(std=std):
            return std**2
        case Scaled(scheme="glorot"):
            return 2 / sum(fans)
        case Scaled(scheme=scheme):
            return {"he": 2.0, "lecun": 1.0}[scheme] / fans[0]
        case Orthogonal(gain=gain):
            return gain**2 / max(math.prod(shape[:-1]), shape[-1])


def reach(norm: Norms, layer: Norms, moved: Norms) -> Norms:
    """How far ‖w‖ may come by steps of this length altogether (the triangle inequality), and what does not matter.

    ``layer`` is the largest norm of the layer's tensors: beside its weights, a bias that was 0 is still small.
    """
    return moved + MATTERS * norm + MATTERS / 10 * layer
