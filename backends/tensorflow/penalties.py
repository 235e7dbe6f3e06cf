"""λ₁Σ|w| + λ₂Σw², added to the loss: TensorFlow ops in ``exact``, Keras's regularizers in ``shipped``."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from harness.backend import Origin
from harness.spec.recipe import L1, L1L2, L2, NoPenalty, Penalty, coefficients, touched

Term = Callable[[tf.Tensor], tf.Tensor]  # one parameter's share


def origin(penalty: Penalty, exact: bool) -> Origin:
    """Where the penalty comes from."""
    rounds = "keras.regularizers round λ to float32"
    if isinstance(penalty, NoPenalty):
        return Origin("native", "nothing")
    if exact:
        return Origin("composed", "λ₁Σ|w| + λ₂Σw²", rounds)
    return Origin("native", f"keras.regularizers.{type(penalty).__name__}", rounds)


def penalty(
    spec: Penalty, named: dict[str, keras.Variable], samples: int, exact: bool
) -> Callable[[], tf.Tensor] | None:
    """A function that gives the penalty at the present parameters, or None where there is none."""
    if isinstance(spec, NoPenalty):
        return None
    on = [named[name].value for name in touched(spec.on, named)]
    l1, l2 = coefficients(spec, samples)
    terms = _composed(l1, l2) if exact else [_regularizer(spec, l1, l2)]
    zero = tf.zeros((), keras.config.floatx())
    return lambda: sum((term(w) for w in on for term in terms), start=zero)


def _composed(l1: float, l2: float) -> list[Term]:
    absolute: list[Term] = [lambda w: l1 * tf.reduce_sum(tf.abs(w))] if l1 else []
    squared: list[Term] = [lambda w: l2 * tf.reduce_sum(tf.square(w))] if l2 else []
    return absolute + squared


def _regularizer(spec: L1 | L2 | L1L2, l1: float, l2: float) -> Any:
    """What a Keras layer calls on its kernel or bias."""
    match spec:
        case L1():
            return keras.regularizers.L1(l1)
        case L2():
            return keras.regularizers.L2(l2)
        case L1L2():
            return keras.regularizers.L1L2(l1, l2)
