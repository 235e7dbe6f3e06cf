"""How weights start; biases start at zero. Drawn once, by NumPy (``harness.problems.start``)."""

from typing import Literal

from harness.spec.base import Piece, Positive


class SmallNormal(Piece, frozen=True, tag="small_normal"):
    """N(0, std²): the textbook's 0.01·N."""

    std: Positive = 0.01


class Zeros(Piece, frozen=True, tag="zeros"):
    """All zero."""


class Scaled(Piece, frozen=True, tag="scaled"):
    """Zero mean and a variance set by the layer's fans.

    Variance 2/(fan_in + fan_out) for ``glorot`` (Glorot & Bengio 2010), 2/fan_in for ``he``
    (He et al. 2015), 1/fan_in for ``lecun`` (LeCun et al. 1998). ``truncated`` is a normal cut at two
    standard deviations and rescaled to have that variance after the cut.
    """

    scheme: Literal["glorot", "he", "lecun"] = "glorot"
    distribution: Literal["normal", "truncated", "uniform"] = "uniform"


class Orthogonal(Piece, frozen=True, tag="orthogonal"):
    """gain·Q with orthonormal rows or columns, Haar-distributed (Saxe, McClelland & Ganguli 2014)."""

    gain: Positive = 1.0


Initialisation = SmallNormal | Zeros | Scaled | Orthogonal
INITIALISATIONS: tuple[type[Initialisation], ...] = (SmallNormal, Zeros, Scaled, Orthogonal)
