"""What is known of weights before they are drawn."""

import math

from harness.spec.initialisations import Initialisation, Orthogonal, Scaled, SmallNormal, Zeros
from harness.spec.layers import Shape


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
