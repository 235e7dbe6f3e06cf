"""What is seen of a step, as part of a compiled step of its own: only a small row leaves the device.

A tap on a layer's outputs changes nothing forward. Its parameter is one number, whose gradient is defined to be the
norm of the gradient that comes back to the outputs: so XLA makes the norm where the gradient is, and keeps no copy.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from backends.jax.layers import Arrays, Pass
from backends.jax.objective import Objective, Running
from harness.observation import BINS, BITS, EXACT, FROM_ZERO, LAST, Layout

Row = list[Array]  # pieces of a row, in its order


@jax.custom_vjp
def tap(y: Array, norm: Array) -> Array:
    """y, and ‖∂L/∂y‖ as the gradient of ``norm``, whatever its value."""
    return y


def _tap(y: Array, norm: Array) -> tuple[Array, None]:
    return y, None


def _come_back(_: None, delta: Array) -> tuple[Array, Array]:
    return delta, lengths([delta])[0]


tap.defvjp(_tap, _come_back)


def differentiate(
    objective: Objective, layout: Layout, parameters: Arrays, x: Array, y: Array, at: Pass
) -> tuple[dict[str, Array], Running, dict[str, Array], Row]:
    """Loss and penalty, running moments and gradient of a batch; and the part of the row that is about layers."""
    watched = {layer.name: layer for layer in layout.layers}

    def penalised(held: tuple[Arrays, Arrays]) -> tuple[Array, Any]:
        w, taps = held
        looked: dict[str, Array] = {}

        def look(name: str, y: Array) -> Array:
            looked[name] = jax.lax.stop_gradient(y)
            return tap(y, taps[name]) if name in taps else y

        total, (seen, running) = objective.penalised(w, x, y, at._replace(look=look if watched else None))
        return total, (seen, running, looked)

    unused = jnp.zeros_like(next(iter(parameters.values())), shape=())
    taps = {layer.name: unused for layer in layout.layers if layer.signal}
    held = dict(parameters), taps
    (_, (seen, running, looked)), (g, signals) = jax.value_and_grad(penalised, has_aux=True)(held)
    if not watched:
        return seen, running, g, []
    zero = jnp.zeros_like(seen["loss"])
    back = jnp.stack([signals.get(name, zero) for name in watched])

    outputs, active = _outputs(layout, [looked[name] for name in watched])
    counted = [_histogram(looked[name]) for name in watched] if layout.bins else []
    return seen, running, g, [outputs.ravel(), back, *active, *counted]


def of_gradients(layout: Layout, g: Arrays, last: Arrays | None) -> tuple[dict[str, Array], dict[str, Array]]:
    """The gradient, and what is seen of it as long as it is in the cache; ``last`` is the one observed before."""
    each = [g[n] for n in layout.parameters]
    norms = lengths(each)
    found = {"gradient_norm": norms}
    if last is not None:
        found["gradient_max"] = largest(each)
        found["gradient_zeros"] = jnp.stack([count(v == 0, norms) for v in each])
        found["gradient_nonfinite"] = nonfinite(each, norms)
        found["cosine"] = cosines(each, [last[n] for n in layout.parameters], norms)
    # What only leaves the device XLA puts off to the end of the step, when its arrays have left the cache: the norms of
    # a gradient alone took a tenth of a step there, and a fiftieth here, before the update.
    barrier: Any = jax.lax.optimization_barrier
    made, seen = barrier((dict(g), found))
    return made, seen


def of_updates(layout: Layout, g: Arrays, clipped: Arrays, w: tuple[Arrays, Arrays], found: dict[str, Array]) -> Row:
    """The part of the row that is about tensors, with what was seen of g; ``w`` before and after the update."""
    names, norms = layout.parameters, found["gradient_norm"]
    same = all(clipped[n] is g[n] for n in names)
    found = {**found, "clipped_norm": norms if same else lengths([clipped[n] for n in names])}
    if "update_norm" in layout.tensors:
        before, after = ([one[n] for n in names] for one in w)
        delta = [b - a for a, b in zip(before, after, strict=True)]
        found["update_norm"], found["weight_norm"] = lengths(delta), lengths(before)
        found["update_max"], found["weight_max"] = largest(delta), largest(before)
        stood = [(b == a) & (g[n] != 0) for n, a, b in zip(names, before, after, strict=True)]
        found["frozen"] = jnp.stack([count(one, norms) for one in stood])
    return [found[quantity] for quantity in layout.tensors]


def _outputs(layout: Layout, ys: list[Array]) -> tuple[Array, Row]:
    """Of all layers: what is seen of their outputs (quantities, layers), and how often each unit was not 0."""
    norms = lengths(ys)
    zeros, saturated, active = [], [], []
    for layer, y in zip(layout.layers, ys, strict=True):
        if layer.units:
            active.append(jnp.sum((y != 0).astype(y.dtype).reshape(-1, layer.units), axis=0))
            zeros.append(y.size - jnp.sum(active[-1]))
        else:
            zeros.append(count(y == 0, y))
        low, high = layer.bounds or (0.0, 0.0)
        saturated.append(count((y < low) | (y > high), y) if layer.bounds else jnp.zeros_like(zeros[-1]))
    means = jnp.stack([jnp.mean(y) for y in ys])
    return jnp.stack([means, norms, jnp.stack(zeros), jnp.stack(saturated), nonfinite(ys, norms)]), active


def _histogram(y: Array) -> Array:
    """How many are in each bin, by their bits."""
    bits = BITS[y.dtype.name]
    finite = jnp.where(jnp.isfinite(y) & (y != 0), y, 0.0).ravel()  # −0 too
    b = jax.lax.bitcast_convert_type(finite, bits.whole)
    sign = b >> (bits.size - 1)
    power = jnp.clip((((b & np.iinfo(bits.whole).max) + sign) >> bits.shift) - bits.offset, 0, LAST)
    return jnp.bincount(FROM_ZERO + (power ^ sign), length=BINS).astype(y.dtype)


def count(marked: Array, like: Array) -> Array:
    """How many are marked, as a number of the kind of ``like``, whose sum is the quicker one and exact up to 2²⁴."""
    return jnp.sum(marked.astype(like.dtype)) if marked.size <= EXACT else jnp.sum(marked).astype(like.dtype)


def nonfinite(tensors: list[Array], norms: Array) -> Array:
    """How many numbers of each are NaN or ±∞: none where all norms are finite."""
    found: Array = jax.lax.cond(
        jnp.all(jnp.isfinite(norms)),
        lambda _: jnp.zeros_like(norms),
        lambda each: jnp.stack([count(~jnp.isfinite(v), norms) for v in each]),
        tensors,
    )
    return found


def lengths(tensors: list[Array]) -> Array:
    """‖·‖ of each, without squares that are 0 or ∞ in float32, beside which JAX may have no other kind."""
    plain = jnp.sqrt(jnp.stack([jnp.vdot(v, v) for v in tensors]))
    found: Array = jax.lax.cond(
        sure(plain), lambda _: plain, lambda each: jnp.stack([length(v) for v in each]), tensors
    )
    return found


def largest(tensors: list[Array]) -> Array:
    """The largest |v| of each."""
    return jnp.stack([jnp.max(jnp.abs(v)) for v in tensors])


def sure(norms: Array) -> Array:
    """Whether the squares that make these norms neither vanished (of 1e8 numbers) nor overflowed."""
    kind = np.finfo(norms.dtype)
    least = math.sqrt(1e8 * float(kind.tiny) / float(kind.eps))
    return jnp.all((norms >= least) & (norms < jnp.inf))


def scale(v: Array) -> Array:
    """The largest |v|, where it is a number to divide by; else 1."""
    most = jnp.max(jnp.abs(v))
    return jnp.where((most > 0) & jnp.isfinite(most), most, 1.0).astype(v.dtype)


def length(v: Array) -> Array:
    """‖v‖ of numbers of any size, 0 and the largest among them."""
    by = scale(v)
    return by * jnp.sqrt(jnp.sum(jnp.square(v / by)))


def cosines(left: list[Array], right: list[Array], norms: Array) -> Array:
    """⟨left, right⟩ over their norms, of which the left ones are given; NaN where one of them is 0."""
    plain = jnp.sqrt(jnp.stack([jnp.vdot(v, v) for v in right]))

    def products(_: object) -> Array:
        return jnp.stack([jnp.vdot(a, b) for a, b in zip(left, right, strict=True)]) / (norms * plain)

    def scaled(each: tuple[list[Array], list[Array]]) -> Array:
        return jnp.stack([cosine(a, b) for a, b in zip(*each, strict=True)])

    found: Array = jax.lax.cond(sure(norms) & sure(plain), products, scaled, (left, right))
    return found


def cosine(left: Array, right: Array) -> Array:
    """⟨left, right⟩ over their norms; NaN where one of them is 0."""
    a, b = left / scale(left), right / scale(right)
    return jnp.sum(a * b) / (jnp.sqrt(jnp.sum(jnp.square(a))) * jnp.sqrt(jnp.sum(jnp.square(b))))
