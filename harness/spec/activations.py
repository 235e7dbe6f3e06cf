"""Activations, one struct each: what a layer without parameters makes of a batch, element by element or by row."""

from typing import Literal

from harness.spec.base import NonNegative, Piece, Positive


class Linear(Piece, frozen=True, tag="linear"):
    """φ(z) = z."""


class Sigmoid(Piece, frozen=True, tag="sigmoid"):
    """φ(z) = 1/(1 + e⁻ᶻ)."""


class Tanh(Piece, frozen=True, tag="tanh"):
    """φ(z) = tanh z."""


class Relu(Piece, frozen=True, tag="relu"):
    """φ(z) = max(z, 0), with φ'(0) = 0."""


class LeakyRelu(Piece, frozen=True, tag="leaky_relu"):
    """φ(z) = z for z > 0, else slope·z, with φ'(0) = slope (Maas, Hannun & Ng 2013)."""

    slope: NonNegative = 0.01


class Elu(Piece, frozen=True, tag="elu"):
    """φ(z) = z for z > 0, else α(eᶻ − 1) (Clevert, Unterthiner & Hochreiter 2016)."""

    alpha: Positive = 1.0


class Selu(Piece, frozen=True, tag="selu"):
    """φ(z) = λz for z > 0, else λα(eᶻ − 1), λ = 1.0507…, α = 1.6732… (Klambauer et al. 2017)."""


class Softplus(Piece, frozen=True, tag="softplus"):
    """φ(z) = log(1 + eᶻ) (Dugas et al. 2001)."""


class Swish(Piece, frozen=True, tag="swish"):
    """φ(z) = z·σ(z), also called SiLU (Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017)."""


class Mish(Piece, frozen=True, tag="mish"):
    """φ(z) = z·tanh(log(1 + eᶻ)) (Misra 2020)."""


class Gelu(Piece, frozen=True, tag="gelu"):
    """φ(z) = z·Φ(z), Φ the normal distribution function (Hendrycks & Gimpel 2016).

    ``form`` tanh: z/2·(1 + tanh(√(2/π)(z + 0.044715z³))), the same paper's approximation of it.
    """

    form: Literal["exact", "tanh"] = "exact"


class Exponential(Piece, frozen=True, tag="exponential"):
    """φ(z) = eᶻ."""


class Softmax(Piece, frozen=True, tag="softmax"):
    """φ(z)ᵢ = e^zᵢ/Σⱼe^zⱼ over the last axis. The cross-entropies here take logits: this is for layers inside."""


# (λ, α) of SELU, to double precision: so that mean 0 and variance 1 are a fixed point (Klambauer et al. 2017).
SELU = (1.0507009873554805, 1.6732632423543772)

Elementwise = Linear | Sigmoid | Tanh | Relu | LeakyRelu | Elu | Selu | Softplus | Swish | Mish | Gelu | Exponential
Activation = Elementwise | Softmax
ACTIVATIONS: tuple[type[Activation], ...] = (
    Linear,
    Sigmoid,
    Tanh,
    Relu,
    LeakyRelu,
    Elu,
    Selu,
    Softplus,
    Swish,
    Mish,
    Gelu,
    Exponential,
    Softmax,
)
