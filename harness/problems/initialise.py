"""Drawing initial weights."""

import math

import numpy as np

from harness.problems.data import Floats
from harness.spec.architecture import Parameter
from harness.spec.initialisations import Initialisation, Orthogonal, Scaled, SmallNormal, Zeros
from harness.spec.layers import Shape

# Standard deviation of N(0, 1) cut at ±2: √(1 − 4φ(2)/(2Φ(2) − 1)).
TRUNCATED_STD = 0.8796256610342398


def start(parameter: Parameter, initialisation: Initialisation, rng: np.random.Generator) -> Floats:
    """A parameter at step 0, float64; a weight is drawn block by block."""
    shape, blocks = parameter.shape, parameter.blocks
    if parameter.start == "filled":
        return np.repeat(parameter.fill, shape[0] // len(parameter.fill))
    block = (*shape[:-1], shape[-1] // blocks)
    return np.concatenate([draw(initialisation, block, parameter.fans, rng) for _ in range(blocks)], axis=-1)


def draw(initialisation: Initialisation, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Floats:
    """One weight of canonical shape, outputs last, with its fans (in, out), float64."""
    match initialisation:
        case Zeros():
            return np.zeros(shape)
        case SmallNormal(std=std):
            return std * rng.standard_normal(shape)
        case Scaled(scheme=scheme, distribution=distribution):
            fan_in, fan_out = fans
            variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[scheme]
            return math.sqrt(variance) * _unit(distribution, shape, rng)
        case Orthogonal(gain=gain):
            return gain * _orthogonal((math.prod(shape[:-1]), shape[-1]), rng).reshape(shape)


def _unit(distribution: str, shape: Shape, rng: np.random.Generator) -> Floats:
    """Mean 0, variance 1."""
    match distribution:
        case "uniform":
            return rng.uniform(-math.sqrt(3), math.sqrt(3), shape)
        case "normal":
            return rng.standard_normal(shape)
        case _:
            draws = rng.standard_normal(shape)
            while (outside := np.abs(draws) > 2).any():
                draws[outside] = rng.standard_normal(int(outside.sum()))
            return draws / TRUNCATED_STD


def _orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Orthonormal columns (tall) or rows (wide). The sign fix makes the draw uniform (Mezzadri 2007)."""
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T
