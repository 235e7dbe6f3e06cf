"""How far one draw of a finite network may lie from the average of all draws.

The logarithm of a squared norm is moved by small independent shocks, a few in each layer: ‖h‖² of n Gaussian
pre-activations is a chi-squared variable, of relative variance 2/n, and so on. What a shock moves is a *sensitivity*,
the change of the logarithm by a shock of 1, so that Var ln‖·‖² = Σ variance·sensitivity² (Hanin & Nica 2020 for ReLU,
where all sensitivities are 1 and a layer has 5/n).

All this is of first order in 1/width: where a spread comes near 1, the true one is larger by a tenth or two. Shocks
are those of one sample at one place. A sum over samples and places has at most that variance: it is the mean of
terms that are at most fully correlated.
"""

import math
from collections.abc import Mapping

from harness.health.mean_field import Averages
from harness.spec.initialisations import Initialisation, Orthogonal, Zeros

Sensitivity = Mapping[int, float]  # shock → d ln‖·‖²/d shock


class Shocks:
    """The variances of all shocks of one network."""

    def __init__(self) -> None:
        self.variances: list[float] = []

    def new(self, variance: float) -> Sensitivity:
        """What a new shock of that variance moves by itself."""
        self.variances.append(variance)
        return {len(self.variances) - 1: 1.0}

    def deviation(self, of: Sensitivity) -> float:
        """The standard deviation of ln‖·‖²."""
        return math.sqrt(sum(self.variances[shock] * slope**2 for shock, slope in of.items()))


def mixed(*parts: tuple[float, Sensitivity]) -> dict[int, float]:
    """The weighted sum: products add with weights 1, a sum of squared norms with their shares of it."""
    found: dict[int, float] = {}
    for weight, part in parts:
        for shock, slope in part.items():
            found[shock] = found.get(shock, 0.0) + weight * slope
    return found


def of_weights(initialisation: Initialisation, inputs: int, outputs: int) -> tuple[float, float]:
    """Relative variances of ‖xW‖² for a given x, and of ‖δWᵀ‖² for a given δ.

    Independent weights: 2/outputs and 2/inputs, the chi-squared's. Orthogonal ones keep the norm in the direction in
    which the dimension does not fall; in the other, ‖·‖² is a Beta variable, of relative variance 2(1/after − 1/before)
    up to terms of higher order.
    """
    match initialisation:
        case Zeros():
            return 0.0, 0.0
        case Orthogonal():
            return 2 * max(1 / outputs - 1 / inputs, 0.0), 2 * max(1 / inputs - 1 / outputs, 0.0)
        case _:
            return 2 / outputs, 2 / inputs


def of_sum(share: float, units: int) -> float:
    """Relative variance of ‖x + f‖² by 2⟨x, f⟩, x and f independent, s the share of f's square: 4s(1 − s)/n."""
    return 4 * share * (1 - share) / units


def of_activation(of: Averages, units: int, shocks: Shocks) -> tuple[Sensitivity, Sensitivity]:
    """What an activation adds to ln Σφ² and to ln Σφ'²δ², beyond what ‖h‖² explains.

    Variances (E φ⁴/V² − 1 − 2r²)/n, that of Σφ² less what its regression on ‖h‖² explains, r = d ln V/d ln q; and
    (3(E φ'⁴/χ² − 1) − 2r'²)/n, as δ² is a squared Gaussian, E δ⁴ = 3(E δ²)². They are of the same units: their
    covariance is (E φ²φ'²/(Vχ) − 1 − 2rr')/n. ReLU has 3/n, 3/n and 1/n; with the 2/n of the weights before, that is
    the 5/n of Hanin & Nica 2020 either way.
    """
    r, s = float(of.response), float(of.slope_response)
    forward = max(float(of.fourth / of.square**2) - 1 - 2 * r * r, 0.0)
    back = max(3 * (float(of.slope_fourth / of.slope**2) - 1) - 2 * s * s, 0.0)
    share = (float(of.both / (of.square * of.slope)) - 1 - 2 * r * s) / forward if forward > 1e-9 else 0.0
    there = shocks.new(forward / units)
    return there, mixed((share, there), (1.0, shocks.new(max(back - share**2 * forward, 0.0) / units)))
