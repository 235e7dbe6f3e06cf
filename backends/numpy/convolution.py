"""Convolution by one matrix product of all windows laid out as rows, and pools offset by offset."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.tape import Own, Pair, Tape, Tapes, spread, take, total
from harness.spec.architecture import padding, strides
from harness.spec.layers import AveragePool, Conv2D, MaxPool, Padding, Pool
from harness.spec.layers import Pair as Size


class Window(NamedTuple):
    """A window that slides over images (samples, height, width, channels) with their border."""

    size: Size
    strides: Size
    images: Pair
    enter: Tape  # x.value into the images
    leave: Tape  # the images' gradient into x.d

    def offsets(self) -> Iterator[tuple[int, int]]:
        """(a, b) in row-major order."""
        yield from np.ndindex(*self.size)

    def seen(self, images: Array, a: int, b: int) -> Array:
        """What all windows see at the offset (a, b): x[:, si + a, tj + b], a view."""
        (s, t), (height, width) = self.strides, self.size
        return images[:, a : images.shape[1] - height + a + 1 : s, b : images.shape[2] - width + b + 1 : t]

    def overlap(self) -> bool:
        """Whether an element may be in two windows."""
        return any(step < k for step, k in zip(self.strides, self.size, strict=True))

    def tile(self) -> bool:
        """Whether every element is in one window."""
        sizes = self.images.value.shape[1:3]
        return self.strides == self.size and all(n % k == 0 for n, k in zip(sizes, self.size, strict=True))


def slide(x: Pair, size: Size, steps: Size, how: Padding, border: float = 0.0) -> Window:
    """A window over x; the images are x itself where there is no border."""
    sizes = zip(x.value.shape[1:3], size, steps, strict=True)
    (top, bottom), (left, right) = borders = [padding(how, n, k, s) for n, k, s in sizes]
    if not any(map(any, borders)):
        return Window(size, steps, x, [], [])
    n, height, width, channels = x.value.shape
    shape = (n, top + height + bottom, left + width + right, channels)
    like = x.value
    images = Pair(np.full_like(like, border, order="C", shape=shape), np.empty(shape, like.dtype, like=like))
    value, d = (a[:, top : top + height, left : left + width] for a in images)
    return Window(size, steps, images, [partial(np.copyto, value, x.value)], [partial(np.copyto, x.d, d)])


def convolution(layer: Conv2D, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """Y = CW + b, C the windows as rows; ∂L/∂W = Cᵀδ."""
    window = slide(x, layer.kernel, layer.strides, layer.padding)
    weight, outputs = own["weight"].rows(), y.rows()
    columns, unfolding = unfold(window.images.value, layer.kernel, layer.strides)
    forward: Tape = [*window.enter, *unfolding, partial(np.dot, columns, weight.value, outputs.value)]
    backward: Tape = [partial(np.dot, columns.T, outputs.d, weight.d)]
    if "bias" in own:
        bias, spreading = spread(own["bias"].value, y.value)
        forward += [*spreading, partial(np.add, y.value, bias, y.value)]
        backward += total(outputs.d, own["bias"].d)
    if backpropagates:
        dense = layer.strides == (1, 1)
        backward += _by_turned_kernel(layer, x, y, own) if dense else _by_offsets(window, columns, y, own)
    return Tapes(forward, backward)


def unfold(images: Array, size: Size, steps: Size) -> tuple[Array, Tape]:
    """What each window sees as a row, (offsets · channels), and the tape that writes these rows."""
    n, height, width, channels = images.shape
    places = np.arange(height * width).reshape(height, width)
    (s, t), (a, b) = steps, size
    seen = np.lib.stride_tricks.sliding_window_view(places, (a, b))[::s, ::t].reshape(-1)
    columns = np.empty((n, len(seen), channels), images.dtype, like=images)
    unfolding = take(images.reshape(n, -1, channels), np.asarray(seen, like=images), 1, columns)
    return columns.reshape(-1, a * b * channels), [unfolding]


def _by_turned_kernel(layer: Conv2D, x: Pair, y: Pair, own: Own) -> Tape:
    """∂L/∂x where no stride leaves anything out: δ with a border, convolved with the kernel turned by 180°."""
    (a, b), (_, height, width, channels), filters = layer.kernel, x.value.shape, y.value.shape[-1]
    top, left = (padding(layer.padding, n, k, 1)[0] for n, k in zip((height, width), layer.kernel, strict=True))
    delta = np.zeros((len(x.value), height + a - 1, width + b - 1, filters), y.d.dtype, like=y.d)
    inside = delta[:, a - 1 - top :, b - 1 - left :][:, : y.d.shape[1], : y.d.shape[2]]
    columns, unfolding = unfold(delta, layer.kernel, (1, 1))
    turned = np.empty((a, b, filters, channels), x.value.dtype, like=x.value)
    return [
        partial(np.copyto, inside, y.d),
        *unfolding,
        partial(np.copyto, turned, own["weight"].value[::-1, ::-1].swapaxes(2, 3)),
        partial(np.dot, columns, turned.reshape(-1, channels), x.rows().d),
    ]


def _by_offsets(window: Window, columns: Array, y: Pair, own: Own) -> Tape:
    """∂L/∂x of any strides: δW[a, b]ᵀ, a block for each offset, in the buffer of the columns, added where it saw x."""
    offsets, weight, of_images = list(window.offsets()), own["weight"].value, window.images.d
    blocks = columns.reshape(len(offsets), *y.value.shape[:3], -1)
    tape: Tape = [
        partial(
            np.matmul,
            y.rows().d,
            weight.reshape(-1, *weight.shape[2:]).swapaxes(1, 2),
            blocks.reshape(len(offsets), -1, weight.shape[2]),
        ),
        partial(of_images.fill, 0),
    ]
    for (a, b), block in zip(offsets, blocks, strict=True):
        there = window.seen(of_images, a, b)
        tape.append(partial(np.add, there, block, there))
    return tape + window.leave


def pool(layer: Pool, x: Pair, y: Pair) -> Tapes:
    """The maximum or the mean of each window."""
    border = -np.inf if isinstance(layer, MaxPool) else 0.0
    window = slide(x, layer.window, strides(layer), layer.padding, border)
    forward, backward = maximum(window, y) if isinstance(layer, MaxPool) else mean(layer, window, x, y)
    blank: Tape = [] if window.tile() else [partial(window.images.d.fill, 0)]
    return Tapes([*window.enter, *forward], [*blank, *backward, *window.leave])


def maximum(window: Window, y: Pair) -> Tapes:
    """δ goes to the first largest element: to one that equals the maximum while the window is still ``free``."""
    views = [window.seen(window.images.value, a, b) for a, b in window.offsets()]
    forward: Tape = [partial(np.copyto, y.value, views[0])]
    forward += [partial(np.maximum, y.value, view, out=y.value) for view in views[1:]]
    here, free = np.empty((2, *y.value.shape), np.bool_, like=y.value)
    part = np.empty_like(y.value)
    backward: Tape = [partial(free.fill, True)]
    for (a, b), view in zip(window.offsets(), views, strict=True):
        backward += [
            partial(np.equal, view, y.value, here),
            partial(np.logical_and, here, free, here),
            partial(np.logical_xor, free, here, free),
        ]
        there = window.seen(window.images.d, a, b)
        if window.overlap():
            backward += [partial(np.multiply, y.d, here, part), partial(np.add, there, part, there)]
        else:
            backward.append(partial(np.multiply, y.d, here, there))
    return Tapes(forward, backward)


def mean(layer: AveragePool, window: Window, x: Pair, y: Pair) -> Tapes:
    """The sum of a window over its count; δ/count for each of its elements."""
    counts = _counts(layer, x.value.shape[1:3])
    shares = np.asarray(np.broadcast_to(1 / counts, y.value.shape[1:]).astype(y.value.dtype), like=y.value)
    views = [window.seen(window.images.value, a, b) for a, b in window.offsets()]
    forward: Tape = [partial(np.copyto, y.value, views[0])]
    forward += [partial(np.add, y.value, view, y.value) for view in views[1:]]
    forward.append(partial(np.multiply, y.value, shares, y.value))
    part = np.empty_like(y.value)
    backward: Tape = [partial(np.multiply, y.d, shares, part)]
    for a, b in window.offsets():
        there = window.seen(window.images.d, a, b)
        backward.append(partial(np.add, there, part, there) if window.overlap() else partial(np.copyto, there, part))
    return Tapes(forward, backward)


def _counts(layer: AveragePool, size: tuple[int, ...]) -> Array:
    """How many elements each window's mean is of, (height, width, 1), of images of that size; on the host."""
    if layer.counts_padding:
        return np.full((1, 1, 1), float(np.prod(layer.window)))
    one = Pair(*[np.ones((1, *size, 1))] * 2)
    window = slide(one, layer.window, strides(layer), layer.padding)
    for enter in window.enter:
        enter()
    views = [window.seen(window.images.value, a, b) for a, b in window.offsets()]
    return np.asarray(np.sum(views, axis=0)[0])
