"""Weight decay, coupled and decoupled."""

import numpy as np

from harness.backend import Parameters
from harness.spec.recipe import Coupled, Decay, Decoupled, touched


def coupled(spec: Decay, gradients: Parameters, parameters: Parameters) -> Parameters:
    """g + λw for the parameters in the scope of a coupled decay; the other gradients as they are."""
    if not isinstance(spec, Coupled):
        return gradients
    on = touched(spec.on, parameters)
    return {name: g + spec.rate * parameters[name] if name in on else g for name, g in gradients.items()}


def decoupled(spec: Decay, parameters: Parameters, lr: float, factor: float) -> Parameters:
    """What a decoupled decay takes from each w: ηλw with η = lr·factor, or η = factor; 0 outside its scope."""
    if not isinstance(spec, Decoupled):
        return {name: np.zeros_like(w) for name, w in parameters.items()}
    on = touched(spec.on, parameters)
    eta = lr * factor if spec.scaled_by == "rate" else factor
    return {name: eta * spec.rate * w if name in on else np.zeros_like(w) for name, w in parameters.items()}
