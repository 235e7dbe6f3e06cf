"""A Keras layer that keeps its parameters in another shape than the spec."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from harness.spec.architecture import parameter_shapes
from harness.spec.layers import Layer, Shape

Values = Mapping[str, tf.Tensor]  # by role


class Arranged:
    """Keeps the spec's parameters, and on each call gives the Keras layer what ``arrange`` makes of them.

    So optimizers, clips and penalties see the spec's tensors. ``arrange`` gives the layer's trainable variables in
    their order; ``words`` are what each call takes besides x.
    """

    def __init__(
        self,
        layer: keras.Layer,
        own: Mapping[str, Shape],
        arrange: Callable[[Values], list[tf.Tensor]],
        words: Callable[[tf.Tensor], dict[str, Any]] = lambda x: {},
    ) -> None:
        """``own`` are the canonical shapes by role; the layer is built."""
        self.layer, self.arrange, self.words = layer, arrange, words
        self.own = {
            role: keras.Variable("zeros", shape, keras.config.floatx(), name=role) for role, shape in own.items()
        }
        self.non_trainable_variables = layer.non_trainable_variables

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """The layer's outputs."""
        arranged = self.arrange({role: tf.convert_to_tensor(variable) for role, variable in self.own.items()})
        y, _ = self.layer.stateless_call(
            arranged, self.layer.non_trainable_variables, x, training=training, **self.words(x)
        )
        return y


def shapes(spec: Layer, inputs: Shape) -> dict[str, Shape]:
    """The canonical shapes of one layer's parameters by role."""
    return {name.partition(".")[2]: shape for name, shape in parameter_shapes((spec,), inputs).items()}
