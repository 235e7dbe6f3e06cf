"""Convolution and pooling: torch's own layers, which have the channels before height and width."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.backend import Origin
from harness.spec.architecture import padding, strides
from harness.spec.layers import AveragePool, Conv2D, MaxPool, Padding, Pair, Pool, Shape

Border = tuple[int, int, int, int]  # before and after the width, before and after the height: as functional.pad has it


class Images(nn.Module):
    """A layer of torch's on images (samples, height, width, channels), which it sees as if the channels came first.

    What it sees is a view; torch calls its memory format channels_last. ``border`` is padded with ``value`` first.
    """

    def __init__(self, own: nn.Module, border: Border | None = None, value: float = 0.0) -> None:
        super().__init__()
        self.own, self.border, self.value = own, border, value

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        if self.border is not None:
            x = functional.pad(x, self.border, value=self.value)
        y: Tensor = self.own(x)
        return y.permute(0, 2, 3, 1)


class MeanOfCounted(nn.Module):
    """Σ/count of each window over a bordered image, ``count`` the elements that are not border."""

    def __init__(self, window: Pair, steps: Pair, border: Border, sizes: Shape) -> None:
        super().__init__()
        self.sum = nn.AvgPool2d(window, steps, divisor_override=1)
        self.register_buffer("counts", self.sum(functional.pad(torch.ones(1, 1, *sizes), border)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.sum(x)
        return y / self.get_buffer("counts")


def convolution(layer: Conv2D, inputs: Shape) -> nn.Module:
    """y = Σ x[si + a, tj + b]·W[a, b] + bias."""
    steps, border = layer.strides, _border(layer.padding, inputs, layer.kernel, layer.strides)
    if is_native(layer, inputs):
        around: str | Pair = "same" if steps == (1, 1) and layer.padding == "same" else (border[2], border[0])
        own = nn.Conv2d(inputs[-1], layer.filters, layer.kernel, steps, around, bias=layer.bias)
        return Images(own)
    return Images(nn.Conv2d(inputs[-1], layer.filters, layer.kernel, steps, bias=layer.bias), border)


def pool(layer: Pool, inputs: Shape) -> nn.Module:
    """The maximum or the mean of each window."""
    window, steps = layer.window, strides(layer)
    border = _border(layer.padding, inputs, window, steps)
    before = (border[2], border[0])
    match layer:
        case MaxPool() if is_native(layer, inputs):
            return Images(nn.MaxPool2d(window, steps, before, ceil_mode=not _is_even(border)))
        case MaxPool():
            return Images(nn.MaxPool2d(window, steps), border, -math.inf)
        case AveragePool(counts_padding=counts) if is_native(layer, inputs):
            own = nn.AvgPool2d(window, steps, before, ceil_mode=not _is_even(border), count_include_pad=counts)
            return Images(own)
        case AveragePool(counts_padding=True):
            return Images(nn.AvgPool2d(window, steps), border)
        case AveragePool():
            return Images(MeanOfCounted(window, steps, border, inputs[:2]), border)


def origin(layer: Conv2D | Pool, inputs: Shape) -> Origin:
    """Where a convolution or a pool comes from."""
    if is_native(layer, inputs):
        return Origin("native", "torch.nn")
    match layer:
        case Conv2D():
            return Origin("composed", "pad, nn.Conv2d", "nn.Conv2d with strides pads both ends alike")
        case MaxPool():
            return Origin("composed", "pad, nn.MaxPool2d", "nn.MaxPool2d pads both ends alike")
        case AveragePool():
            return Origin("composed", "pad, nn.AvgPool2d", "nn.AvgPool2d pads both ends alike")


def is_native(layer: Conv2D | Pool, inputs: Shape) -> bool:
    """Whether torch's layer can pad so: alike at both ends, or of a convolution without strides, as it is.

    A pool in ``ceil_mode`` goes on where its last window hangs over the end, which is the one element that the end has
    more; but it counts it out of a mean, and without strides it has no use for it.
    """
    window, steps = (layer.kernel, layer.strides) if isinstance(layer, Conv2D) else (layer.window, strides(layer))
    border = _border(layer.padding, inputs, window, steps)
    match layer:
        case Conv2D():
            return _is_even(border) or steps == (1, 1)
        case AveragePool(counts_padding=True):
            return _is_even(border)
        case _:
            left, right, top, bottom = border
            return (top == bottom or steps[0] > 1) and (left == right or steps[1] > 1)


def _border(how: Padding, inputs: Shape, window: Pair, steps: Pair) -> Border:
    top, bottom = padding(how, inputs[0], window[0], steps[0])
    left, right = padding(how, inputs[1], window[1], steps[1])
    return left, right, top, bottom


def _is_even(border: Border) -> bool:
    left, right, top, bottom = border
    return left == right and top == bottom
