"""How a step is run: as one traced graph, op by op, or as one program of XLA's."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from backends.tensorflow import layers, recurrent
from harness.errors import Unsupported
from harness.spec.cell import Cell
from harness.spec.problem import Network

GRAPH, EAGER, XLA = "graph", "eager", "xla"

Body = Callable[..., Any]  # tensors in, tensors out; may change variables


def check(cell: Cell) -> None:
    """Refuse, with the reason, what XLA cannot compile; on a CPU it compiles all that there is."""
    if cell.mode != XLA or cell.device != "cuda" or not isinstance(cell.problem, Network):
        return
    if any(recurrent.is_fused(layer) for layer in layers.every(cell.problem.model)):
        raise Unsupported(
            "mode xla: on a GPU Keras's LSTM and GRU are cuDNN's, which XLA cannot compile; use mode graph"
        )


def run(body: Body, mode: str) -> Body:
    """The function in a mode: under ``tf.function``, in ``eager`` as it is (Keras's ``run_eagerly``).

    What XLA compiles it compiles when it is first called: TensorFlow offers no way to ask for it before.
    """
    if mode == EAGER:
        return body
    # Without AutoGraph: a step has no control flow of its own.
    traced: Body = tf.function(body, autograph=False, jit_compile=mode == XLA)
    return traced


def concrete(function: Body, *takes: tf.TensorSpec) -> Body:
    """What ``run`` gave, traced for tensors of these kinds: itself it would look up their kinds at each call."""
    if not isinstance(function, tf.types.experimental.PolymorphicFunction):
        return function
    traced: Body = function.get_concrete_function(*takes)
    return traced
