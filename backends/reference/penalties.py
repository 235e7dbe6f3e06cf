"""Penalties R = λ₁Σ|w| + λ₂Σw² on the parameters in their scope."""

import numpy as np

from harness.backend import Floats, Parameters
from harness.spec.recipe import NoPenalty, Penalty, coefficients, touched


def value(spec: Penalty, parameters: Parameters, samples: int) -> float:
    """R for ``samples`` training samples."""
    l1, l2 = coefficients(spec, samples)
    on = [parameters[name] for name in scope(spec, parameters)]
    return float(sum(l1 * np.sum(np.abs(w)) + l2 * np.sum(w**2) for w in on))


def gradient(spec: Penalty, parameters: Parameters, samples: int) -> dict[str, Floats]:
    """∂R/∂w = λ₁ sign(w) + 2λ₂w, with sign(0) = 0, for the parameters in the scope."""
    l1, l2 = coefficients(spec, samples)
    on = scope(spec, parameters)
    return {name: l1 * np.sign(w) + 2 * l2 * w for name, w in parameters.items() if name in on}


def scope(spec: Penalty, parameters: Parameters) -> tuple[str, ...]:
    """The parameters that the penalty acts on."""
    return () if isinstance(spec, NoPenalty) else touched(spec.on, parameters)
