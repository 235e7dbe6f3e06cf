"""What is seen of a step, as part of a compiled step of its own: only a small row leaves the device.

A tap on a layer's outputs changes nothing forward. Its parameter is one number, whose gradient is defined to be the
norm of the gradient that comes back to the outputs: so XLA makes the norm where the gradient is, and keeps no copy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from backends.jax.layers import Arrays, Pass
from backends.jax.objective import Objective, Running
from harness.observation import BINS, EDGES, Layout, Watched

Row = list[Array]  # pieces of a row, in its order
Looked = dict[str, tuple[Array, Array, Array]]  # by layer: numbers of its outputs; how often each unit was not 0; bins


@jax.custom_vjp
def tap(y: Array, norm: Array) -> Array:
    """y, and ‖∂L/∂y‖ as the gradient of ``norm``, whatever its value."""
    return y


def _tap(y: Array, norm: Array) -> tuple[Array, None]:
    return y, None


def _come_back(_: None, delta: Array) -> tuple[Array, Array]:
    return delta, length(delta)


tap.defvjp(_tap, _come_back)


def differentiate(
    objective: Objective, layout: Layout, parameters: Arrays, x: Array, y: Array, at: Pass
) -> tuple[dict[str, Array], Running, dict[str, Array], Row]:
    """Loss and penalty, running moments and gradient of a batch; and the part of the row that is about layers."""
    watched = {layer.name: layer for layer in layout.layers}

    def penalised(held: tuple[Arrays, Arrays]) -> tuple[Array, Any]:
        w, taps = held
        looked: Looked = {}

        def look(name: str, y: Array) -> Array:
            looked[name] = _outputs(watched[name], jax.lax.stop_gradient(y), layout.bins)
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
    outputs = jnp.stack([looked[name][0] for name in watched], axis=1)
    back = jnp.stack([signals.get(name, zero) for name in watched])
    each = [looked[name][i] for i in (1, 2) for name in watched]
    return seen, running, g, [outputs.ravel(), back, *each]


def of_tensors(layout: Layout, g: Arrays, clipped: Arrays, w: tuple[Arrays, Arrays], last: Arrays | None) -> Row:
    """The part of the row that is about tensors; ``w`` before and after the update, ``last`` the gradient before."""
    before, after = w
    names = layout.parameters

    def each(quantity: Callable[[str], Array]) -> Array:
        return jnp.stack([quantity(name) for name in names]).astype(g[names[0]].dtype)

    found = [each(lambda n: length(g[n])), each(lambda n: length(clipped[n]))]
    if last is None:
        return found
    delta = {n: after[n] - before[n] for n in names}
    return [
        *found,
        each(lambda n: length(delta[n])),
        each(lambda n: length(before[n])),
        each(lambda n: jnp.max(jnp.abs(g[n]))),
        each(lambda n: jnp.max(jnp.abs(delta[n]))),
        each(lambda n: jnp.max(jnp.abs(before[n]))),
        each(lambda n: jnp.sum(g[n] == 0)),
        each(lambda n: jnp.sum((after[n] == before[n]) & (g[n] != 0))),
        each(lambda n: jnp.sum(~jnp.isfinite(g[n]))),
        each(lambda n: cosine(g[n], last[n])),
    ]


def _outputs(layer: Watched, y: Array, bins: int) -> tuple[Array, Array, Array]:
    low, high = layer.bounds or (-jnp.inf, jnp.inf)
    found = [
        jnp.mean(y),
        length(y),
        jnp.sum(y == 0),
        jnp.sum((y < low) | (y > high)),
        jnp.sum(~jnp.isfinite(y)),
    ]
    units = y.reshape(-1, max(layer.units, 1))
    active = jnp.sum(units != 0, axis=0).astype(y.dtype) if layer.units else jnp.zeros_like(y, shape=(0,))
    counted = _histogram(y) if bins else jnp.zeros_like(y, shape=(0,))
    return jnp.stack([one.astype(y.dtype) for one in found]), active, counted


def _histogram(y: Array) -> Array:
    flat = jnp.where(jnp.isfinite(y) & (y != 0), y, 0.0).ravel()  # of −0 a sort makes less than 0
    bins = jnp.searchsorted(jnp.asarray(EDGES, y.dtype), flat, side="right")
    return jnp.bincount(bins, length=BINS).astype(y.dtype)


def scale(v: Array) -> Array:
    """The largest |v|, where it is a number to divide by; else 1."""
    largest = jnp.max(jnp.abs(v))
    return jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0).astype(v.dtype)


def length(v: Array) -> Array:
    """‖v‖, without the squares of numbers so small that in float32, beside which JAX may have no other, they are 0."""
    by = scale(v)
    return by * jnp.sqrt(jnp.sum(jnp.square(v / by)))


def cosine(left: Array, right: Array) -> Array:
    """⟨left, right⟩ over their norms; NaN where one of them is 0."""
    a, b = left / scale(left), right / scale(right)
    return jnp.sum(a * b) / (jnp.sqrt(jnp.sum(jnp.square(a))) * jnp.sqrt(jnp.sum(jnp.square(b))))
