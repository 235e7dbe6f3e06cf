"""One struct a layer kind.

Shapes leave out the batch axis: images are (height, width, channels), sequences (time, features).
"""

from typing import Annotated, Literal

import msgspec

from harness.errors import InvalidInput
from harness.spec.activations import ACTIVATIONS, Activation
from harness.spec.base import Count, Fraction, Piece, Positive, left_out

Shape = tuple[int, ...]
Pair = tuple[Count, Count]  # along height and width
Padding = Literal["valid", "same"]


class Dense(Piece, frozen=True, tag="dense"):
    """z = xW + b along the last axis, with W of shape (inputs, units) and b of shape (units,)."""

    units: Count
    bias: bool = True


class Conv2D(Piece, frozen=True, tag="conv2d"):
    """z[i, j] = Σ x[si + a, tj + b]·W[a, b] + bias over offsets (a, b), (s, t) the strides (LeCun et al. 1998).

    W has shape (height, width, channels, filters); nothing is flipped. ``padding`` same: zeros around it, so that
    the outputs' size is ⌈size/stride⌉; of an odd number of zeros the extra one stands at the end.
    """

    filters: Count
    kernel: Pair = (3, 3)
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    bias: bool = True


class MaxPool(Piece, frozen=True, tag="max_pool"):
    """The largest element of each window; its gradient goes to the first such one, in row-major order.

    ``strides`` are the window's size if left out. ``padding`` as in conv2d, but with −∞.
    """

    window: Pair = (2, 2)
    strides: Annotated[Pair | None, left_out("the window's size", (1, 1))] = None
    padding: Padding = "valid"


class AveragePool(Piece, frozen=True, tag="average_pool"):
    """The mean of each window: of the elements that the image has, or with ``counts_padding`` of zeros too."""

    window: Pair = (2, 2)
    strides: Annotated[Pair | None, left_out("the window's size", (1, 1))] = None
    padding: Padding = "valid"
    counts_padding: bool = False


class GlobalAveragePool(Piece, frozen=True, tag="global_average_pool"):
    """The mean over all axes but the last: over an image's places, or over time."""


class Flatten(Piece, frozen=True, tag="flatten"):
    """All axes but the batch joined into one, in C order."""


class Reshape(Piece, frozen=True, tag="reshape"):
    """The same numbers, in C order, in another shape: 64 pixels as the rows of an image, (8, 8), or as (8, 8, 1)."""

    shape: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)]


class Embedding(Piece, frozen=True, tag="embedding"):
    """y = W[x], a row of W, of shape (vocabulary, units), for each of the inputs, which are whole numbers from 0.

    Initialisations see the fans (1, units): x stands for a one-hot vector, of which one element is not zero, so the
    variance of y is that of one weight, whatever the vocabulary.
    """

    vocabulary: Count
    units: Count


class Position(Piece, frozen=True, tag="position"):
    """y = x + W with W of the shape of x: what tells one place from another, learned (Gehring et al. 2017).

    Initialisations see the fans (1, features), those of an embedding of the place, for one row of W is added to each.
    """


class SimpleRNN(Piece, frozen=True, tag="rnn"):
    """h ← φ(xW + hU + b) at each time, from h = 0 (Elman 1990). Gives the last h, or with ``sequences`` all of them."""

    units: Count
    activation: Literal["tanh", "relu"] = "tanh"
    sequences: bool = False


class LSTM(Piece, frozen=True, tag="lstm"):
    """(i, f, g, o) = xW + hU + b; c ← σ(f)c + σ(i)·tanh g; h ← σ(o)·tanh c, from h = c = 0 (Gers et al. 2000).

    W, U and b hold the four gates next to each other along their last axis, in that order. Gives the last h, or with
    ``sequences`` all of them. ``forget_bias`` is where the bias of f starts (Jozefowicz et al. 2015).
    """

    units: Count
    sequences: bool = False
    forget_bias: float = 1.0


class GRU(Piece, frozen=True, tag="gru"):
    """r, z = σ(xW + hU + b); n = tanh(…); h ← (1 − z)n + zh, from h = 0 (Cho et al. 2014).

    ``reset`` before: n = tanh(xW + (rh)U + b), as in the paper. after: n = tanh(xW + b + r(hU + b')), with a
    ``recurrent_bias`` b' beside b in r and z too (cuDNN). The gates stand in the order r, z, n along the last axis.
    """

    units: Count
    sequences: bool = False
    reset: Literal["after", "before"] = "after"


class Attention(Piece, frozen=True, tag="attention"):
    """softmax(QKᵀ/√k)V of each head, with Q = xW_q + b_q, K and V likewise, joined and mapped by W_o + b_o.

    Multi-head self-attention (Vaswani et al. 2017). k, the ``size`` of a head, is the number of features over that of
    heads if left out; heads stand next to each other along Q's, K's and V's last axis. ``causal``: none looks ahead.
    """

    heads: Count = 1
    size: Annotated[Count | None, left_out("the number of features over that of heads", 16)] = None
    causal: bool = False


class Residual(Piece, frozen=True, tag="residual"):
    """y = x + f(x), f the layers inside, which must keep the shape (He et al. 2016)."""

    layers: tuple["Layer", ...]

    def check(self) -> None:
        if not self.layers:
            raise InvalidInput("residual.layers is empty: give at least one layer")


class Dropout(Piece, frozen=True, tag="dropout"):
    """In training y = mx/(1 − p), m = 0 with probability p, the ``rate``, or 1; else y = x (Srivastava et al. 2014).

    ``exact`` takes masks that all backends share (``harness.problems.masks``); ``shipped`` the framework's own. Neither
    depends on the cell's seed, which decides the batch order and so which sample meets which mask.
    """

    rate: Fraction = 0.5


class BatchNorm(Piece, frozen=True, tag="batch_norm"):
    """y = scale·(x − μ)/√(v + ε) + shift per feature (last axis) (Ioffe & Szegedy 2015).

    In training μ and v are the mean and the (biased) variance over the batch and all other axes, and the running
    averages follow: r ← ρr + (1 − ρ)·new, ρ the ``momentum``, from mean 0 and variance 1. Else they are those averages.
    ``running`` tells which variance is averaged: unbiased, n/(n − 1) times v (the paper, torch), or biased (Keras).
    """

    momentum: Fraction = 0.9
    eps: Positive = 1e-5
    running: Literal["unbiased", "biased"] = "unbiased"


class LayerNorm(Piece, frozen=True, tag="layer_norm"):
    """y = scale·(x − μ)/√(v + ε) + shift, μ and v the mean and variance over the last axis (Ba et al. 2016)."""

    eps: Positive = 1e-5


Pool = MaxPool | AveragePool
Recurrent = SimpleRNN | LSTM | GRU
Layer = (
    Dense
    | Conv2D
    | MaxPool
    | AveragePool
    | GlobalAveragePool
    | Flatten
    | Reshape
    | Embedding
    | Position
    | SimpleRNN
    | LSTM
    | GRU
    | Attention
    | Residual
    | Dropout
    | BatchNorm
    | LayerNorm
    | Activation
)
LAYERS: tuple[type[Layer], ...] = (
    Dense,
    Conv2D,
    MaxPool,
    AveragePool,
    GlobalAveragePool,
    Flatten,
    Reshape,
    Embedding,
    Position,
    SimpleRNN,
    LSTM,
    GRU,
    Attention,
    Residual,
    Dropout,
    BatchNorm,
    LayerNorm,
    *ACTIVATIONS,
)
