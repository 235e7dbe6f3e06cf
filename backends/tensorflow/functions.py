"""Analytic functions: parameters in, the mean value over the batch out."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from harness.problems.task import Task
from harness.spec.problem import Beale, Function, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock


class Value:
    """f(parameters; batch) of an analytic problem; the parameters start at zero and are loaded."""

    def __init__(self, function: Function, task: Task, precision: str) -> None:
        self.function = function
        self.constants = {name: tf.constant(values, precision) for name, values in task.constants.items()}
        self.parameters = {
            name: keras.Variable("zeros", shape=shape, dtype=precision, name=name)
            for name, shape in task.shapes.items()
        }
        self.state: list[keras.Variable] = []

    def __call__(
        self, batch: tf.Tensor, training: bool, masks: Mapping[str, tf.Tensor], look: object = None
    ) -> tf.Tensor:
        """The value, a scalar, the same in training and inference; it has no layers to look at."""
        parameters = {name: tf.convert_to_tensor(v) for name, v in self.parameters.items()}
        if isinstance(self.function, RandomGradients):
            flat = tf.concat([tf.reshape(w, [-1]) for w in parameters.values()], axis=0)
            return tf.reduce_mean(tf.linalg.matvec(batch, flat))
        return value(self.function, parameters["x"], batch, self.constants)


def value(function: Function, x: tf.Tensor, batch: tf.Tensor, constants: dict[str, tf.Tensor]) -> tf.Tensor:
    """f(x; batch) of a function of one vector."""
    match function:
        case Rosenbrock(a=a, b=b):
            return tf.square(a - x[0]) + b * tf.square(x[1] - tf.square(x[0]))
        case Beale():
            powers = tf.stack([x[1], x[1] * x[1], x[1] * x[1] * x[1]])
            return tf.reduce_sum(tf.square([1.5, 2.25, 2.625] - x[0] * (1 - powers)))
        case Quadratic():
            return tf.tensordot(x, tf.linalg.matvec(constants["matrix"], x), 1) / 2
        case NoisyQuadratic():
            return tf.reduce_mean(tf.reduce_sum(constants["curvatures"] * tf.square(x - batch), axis=1)) / 2
        case RandomGradients():
            raise TypeError("random_gradients has tensors of its own")
