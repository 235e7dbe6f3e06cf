"""Units that are copies of each other: as long as their weights are equal, they compute and are taught the same."""

import math

import numpy as np

from harness.backend import Parameters
from harness.spec.architecture import GATES, places
from harness.spec.layers import GRU, LSTM, Conv2D, Dense, Shape, SimpleRNN
from harness.spec.problem import Network


def identical_units(problem: Network, inputs: Shape, parameters: Parameters) -> dict[str, int]:
    """How many units of each layer have weights and biases equal to another's there, to the last bit.

    Of layers with two units or more. A recurrent unit's are those of all its gates, from the inputs and from the
    states: of these, two copies may differ in how they look at each other, so that only inputs are compared.
    """
    found = {}
    for place in places(problem.model, inputs):
        if not isinstance(place.layer, Dense | Conv2D | SimpleRNN | LSTM | GRU):
            continue
        weights = parameters[f"{place.name}.weight"]
        gates = GATES.get(type(place.layer), 1)
        bias = parameters.get(f"{place.name}.bias")
        rows = [weights.reshape(math.prod(weights.shape[:-1]), gates, -1)]
        if bias is not None:
            rows.append(bias.reshape(1, gates, -1))
        units = np.concatenate(rows).reshape(-1, rows[0].shape[-1]).T
        if len(units) > 1:
            _, counts = np.unique(units, axis=0, return_counts=True)
            found[place.name] = int(counts[counts > 1].sum())
    return found
