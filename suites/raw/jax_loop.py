"""JAX with optax: one jitted call a step, everything that changes donated to it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

Start = Mapping[str, np.ndarray]
Weights = Mapping[str, Array]
BLOCK = 256  # the most steps of one call: the length of the buffer for losses
HEADS, BLOCKS = 4, 2  # of the transformer


def make(architecture: str, x: np.ndarray, y: np.ndarray, start: Start) -> Callable[[np.ndarray], np.ndarray]:
    """A function that trains on up to ``BLOCK`` rows of indices and returns the losses."""
    inputs, labels = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.int32)
    parameters = {name: jnp.array(values, jnp.float32) for name, values in start.items()}
    optimizer, model = optax.adam(0.001), ARCHITECTURES[architecture]

    def loss_of(p: Weights, batch: Array, targets: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(p, batch), targets).mean()

    def step(leaves: list[Array], samples: Array, targets: Array, order: Array) -> list[Array]:
        p, kept, losses, at = jax.tree.unflatten(structure, leaves)
        row = order[at]
        loss, g = jax.value_and_grad(loss_of)(p, samples[row], targets[row])
        updates, kept = optimizer.update(g, kept, p)
        return jax.tree.leaves((optax.apply_updates(p, updates), kept, losses.at[at].set(loss), at + 1))

    jitted = jax.jit(step, donate_argnums=0)
    state: Any = (parameters, optimizer.init(parameters))
    structure = jax.tree.structure((*state, 0, 0))

    def train(order: np.ndarray) -> np.ndarray:
        nonlocal state
        padded = np.zeros((BLOCK, order.shape[1]), np.int32)
        padded[: len(order)] = order
        rows = jnp.asarray(padded)
        leaves = jax.tree.leaves((*state, jnp.zeros(BLOCK, jnp.float32), jnp.zeros((), jnp.int32)))
        for _ in range(len(order)):
            leaves = jitted(leaves, inputs, labels, rows)
        jax.block_until_ready(leaves)
        *kept, losses, _ = jax.tree.unflatten(structure, leaves)
        state = tuple(kept)
        return np.asarray(losses)[: len(order)]

    return train


def mlp(p: Weights, x: Array) -> Array:
    """64-64-64-10 with ReLU."""
    return _dense(p, "dense3", jax.nn.relu(_dense(p, "dense2", jax.nn.relu(_dense(p, "dense1", x)))))


def cnn(p: Weights, x: Array) -> Array:
    """Two convolutions with pools, two linear layers."""
    x = x.reshape(-1, 8, 8, 1)
    for name in ("conv2d1", "conv2d2"):
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "SAME", dimension_numbers=dimensions)
        x = jax.nn.relu(x + p[f"{name}.bias"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return _dense(p, "dense2", jax.nn.relu(_dense(p, "dense1", x.reshape(len(x), -1))))


def row_lstm(p: Weights, x: Array) -> Array:
    """``lax.scan`` over the rows of an image, their part of the gates made for all at once; a linear layer."""
    gates = x.reshape(-1, 8, 8) @ p["lstm1.weight"] + p["lstm1.bias"]

    def step(state: tuple[Array, Array], z: Array) -> tuple[tuple[Array, Array], None]:
        h, c = state
        i, f, g, o = jnp.split(z + h @ p["lstm1.recurrent"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros((len(x), 64), x.dtype)
    (h, _), _ = lax.scan(step, (zero, zero), gates.swapaxes(0, 1))
    return _dense(p, "dense1", h)


def transformer(p: Weights, x: Array) -> Array:
    """Rows, learned positions, pre-norm blocks with ``jax.nn.dot_product_attention``, the mean over time."""
    x = _dense(p, "dense1", x.reshape(-1, 8, 8)) + p["position1.weight"]
    for block in range(BLOCKS):
        one, two = f"residual{2 * block + 1}", f"residual{2 * block + 2}"
        normal = _layer_norm(p, f"{one}.layer_norm1", x)
        x = x + _attention(p, f"{one}.attention1", normal)
        normal = _layer_norm(p, f"{two}.layer_norm1", x)
        hidden = jax.nn.gelu(_dense(p, f"{two}.dense1", normal), approximate=False)
        x = x + _dense(p, f"{two}.dense2", hidden)
    return _dense(p, "dense2", _layer_norm(p, "layer_norm1", x).mean(axis=1))


def _dense(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def _layer_norm(p: Weights, name: str, x: Array) -> Array:
    return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * p[f"{name}.scale"] + p[f"{name}.shift"]


def _attention(p: Weights, name: str, x: Array) -> Array:
    q, k, v = (
        (x @ p[f"{name}.{role}"] + p[f"{name}.{role}_bias"]).reshape(*x.shape[:2], HEADS, -1)
        for role in ("query", "key", "value")
    )
    return jax.nn.dot_product_attention(q, k, v).reshape(x.shape) @ p[f"{name}.output"] + p[f"{name}.output_bias"]


ARCHITECTURES = {"mlp": mlp, "cnn": cnn, "lstm": row_lstm, "transformer": transformer}
