"""Optimizers: Keras's own where they compute the formula, else composed here as a Keras optimizer."""

import keras
import numpy as np
import tensorflow as tf

from backends.tensorflow.schedules import Rate
from harness.backend import Origin
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, Optimizer, RMSProp
from harness.spec.recipe import Recipe
from harness.spec.schedules import Constant

KERAS = {SGD: "SGD", Momentum: "SGD", AdaGrad: "Adagrad", RMSProp: "RMSprop", Adam: "Adam"}

State = dict[str, tf.Variable]


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the update comes from, and in ``shipped`` how its formula is another."""
    spec = recipe.optimizer
    shipped = f"keras.optimizers.{KERAS[type(spec)]}"
    if lacks := _lacks(spec):
        return Origin("composed", spec.spelling(), f"{shipped}: {lacks}")
    differs = "; ".join(_differences(spec, isinstance(recipe.schedule, Constant)))
    if not exact:
        return Origin("native", shipped, "; ".join(filter(None, (differs, _rounds(spec)))))
    if differs:
        return Origin("composed", spec.spelling(), f"{shipped}: {differs}")
    return Origin("native", shipped)


def _lacks(spec: Optimizer) -> str:
    """What Keras ships nothing for."""
    match spec:
        case Momentum(dampening=dampening) if dampening:
            return "it has no dampening"
        case RMSProp(bias_correction=True):
            return "it corrects no bias"
        case _:
            return ""


def _differences(spec: Optimizer, constant: bool) -> list[str]:
    """Where Keras's formula under that name is another."""
    found = []
    match spec:
        case AdaGrad(eps_placement="outside") | RMSProp(eps_placement="outside"):
            found.append("its ε stands inside the root")
        case Adam(eps_placement="outside" | "inside"):
            found.append("its ε-hat stands before the bias correction")
    match spec:
        case Momentum(rate="outside", momentum=mu) | RMSProp(rate="outside", momentum=mu) if mu and not constant:
            found.append("its rate stands inside the momentum buffer")
        case Adam(amsgrad="corrected"):
            found.append("its AMSGrad takes the maximum of the raw v")
    return found


def _rounds(spec: Optimizer) -> str:
    """What Keras computes in float32 whatever the precision, when given plain floats."""
    match spec:
        case Momentum():
            return "it rounds μ to float32"
        case AdaGrad():
            return "it rounds the initial accumulator to float32"
        case Adam():
            return "it rounds β₁ and β₂ to float32 for the bias correction"
        case _:
            return ""


def build(recipe: Recipe, exact: bool, rate: Rate, shared: dict[str, float]) -> keras.Optimizer:
    """The optimizer of a recipe; ``shared`` are the arguments that every Keras optimizer takes."""
    number = _number(exact)
    shared = {name: number(value) for name, value in shared.items()}
    if origin(recipe, exact).how == "composed":
        return Composed(recipe.optimizer, rate, **shared)
    return _native(recipe.optimizer, rate, number, shared)


def _number(exact: bool) -> type[float]:
    """How Keras is given its hyperparameters: it rounds a plain float to float32, but not NumPy's float64.

    In float32 that would promote its arithmetic, and a plain float loses nothing.
    """
    return np.float64 if exact and keras.config.floatx() == "float64" else float


def _native(spec: Optimizer, rate: Rate, number: type[float], shared: dict[str, float]) -> keras.Optimizer:
    """Keras's own optimizer with the spec's words."""
    kinds = keras.optimizers
    match spec:
        case SGD():
            return kinds.SGD(rate, **shared)
        case Momentum(momentum=momentum, nesterov=nesterov):
            return kinds.SGD(rate, number(momentum), nesterov, **shared)
        case AdaGrad(eps=eps, initial_accumulator=initial):
            return kinds.Adagrad(rate, number(initial), number(eps), **shared)
        case RMSProp(beta=rho, eps=eps, centred=centred, momentum=momentum):
            return kinds.RMSprop(rate, number(rho), number(momentum), number(eps), centred, **shared)
        case Adam(beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad):
            kind = kinds.AdamW if "weight_decay" in shared else kinds.Adam
            return kind(
                rate,
                beta_1=number(beta1),
                beta_2=number(beta2),
                epsilon=number(eps),
                amsgrad=amsgrad != "no",
                **shared,
            )


class Composed(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras has no types
    """An optimizer built from TensorFlow's primitives: Δ from g, its state and the rate, for each parameter."""

    def __init__(self, spec: Optimizer, rate: Rate, **shared: float) -> None:
        super().__init__(rate, name=spec.spelling(), **shared)
        self.spec = spec

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the state."""
        if self.built:
            return
        super().build(variables)
        starts = _state(self.spec)
        self.state = {
            name: self.add_optimizer_variables(variables, name, keras.initializers.Constant(np.float64(start)))
            for name, start in starts.items()
        }

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """w ← w − Δ for one parameter."""
        i = self._get_variable_index(variable)
        state = {name: variables[i].value for name, variables in self.state.items()}
        eta = tf.cast(learning_rate, gradient.dtype)
        t = tf.cast(self.iterations + 1, tf.float64)
        variable.assign_sub(delta(self.spec, gradient, state, eta, t))


def _state(spec: Optimizer) -> dict[str, float]:
    """The tensors that an optimizer keeps for each parameter, and the value that fills each at the start."""
    match spec:
        case SGD():
            return {}
        case Momentum():
            return {"v": 0.0}
        case AdaGrad(initial_accumulator=initial):
            return {"h": initial}
        case RMSProp(centred=centred, momentum=momentum):
            return {"h": 0.0} | ({"m": 0.0} if centred else {}) | ({"v": 0.0} if momentum else {})
        case Adam(amsgrad=amsgrad):
            return {"m": 0.0, "v": 0.0} | ({"max": 0.0} if amsgrad != "no" else {})


def delta(spec: Optimizer, g: tf.Tensor, state: State, eta: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Δ of any optimizer at step ``t`` = 1, 2, … (float64); updates ``state``."""
    match spec:
        case SGD():
            return eta * g
        case Momentum():
            return momentum(spec, g, state, eta, t)
        case AdaGrad():
            return adagrad(spec, g, state, eta)
        case RMSProp():
            return rmsprop(spec, g, state, eta, t)
        case Adam():
            return adam(spec, g, state, eta, t)


def momentum(spec: Momentum, g: tf.Tensor, state: State, eta: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Δ of ``Momentum``."""
    share = tf.constant(1 - spec.dampening, g.dtype)
    if spec.first == "plain":
        share = tf.where(t == 1, tf.ones_like(share), share)
    mu = spec.momentum
    if spec.rate == "inside":
        v = _keep(state["v"], mu * state["v"] + eta * share * g)
        return eta * g + mu * v if spec.nesterov else v
    v = _keep(state["v"], mu * state["v"] + share * g)
    return eta * (g + mu * v) if spec.nesterov else eta * v


def adagrad(spec: AdaGrad, g: tf.Tensor, state: State, eta: tf.Tensor) -> tf.Tensor:
    """Δ of ``AdaGrad``."""
    h = _keep(state["h"], state["h"] + tf.square(g))
    return eta * g / _root(h, spec.eps, spec.eps_placement)


def rmsprop(spec: RMSProp, g: tf.Tensor, state: State, eta: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Δ of ``RMSProp``."""
    beta = spec.beta
    correction = _correction(beta, t, g.dtype) if spec.bias_correction else tf.ones((), g.dtype)
    h = _keep(state["h"], beta * state["h"] + (1 - beta) * tf.square(g)) / correction
    if spec.centred:
        h -= tf.square(_keep(state["m"], beta * state["m"] + (1 - beta) * g) / correction)
    u = g / _root(h, spec.eps, spec.eps_placement)
    if not spec.momentum:
        return eta * u
    if spec.rate == "inside":
        return _keep(state["v"], spec.momentum * state["v"] + eta * u)
    return eta * _keep(state["v"], spec.momentum * state["v"] + u)


def adam(spec: Adam, g: tf.Tensor, state: State, eta: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Δ of ``Adam``."""
    c1, c2 = _correction(spec.beta1, t, g.dtype), _correction(spec.beta2, t, g.dtype)
    m = _keep(state["m"], spec.beta1 * state["m"] + (1 - spec.beta1) * g)
    v = _keep(state["v"], spec.beta2 * state["v"] + (1 - spec.beta2) * tf.square(g))
    if spec.amsgrad == "raw":
        v = _keep(state["max"], tf.maximum(state["max"], v))
    v_hat = v / c2
    if spec.amsgrad == "corrected":
        v_hat = _keep(state["max"], tf.maximum(state["max"], v_hat))
    if spec.eps_placement == "hat":
        return eta * tf.sqrt(c2) / c1 * m / (tf.sqrt(c2 * v_hat) + spec.eps)
    return eta / c1 * m / _root(v_hat, spec.eps, spec.eps_placement)


def _keep(variable: tf.Variable, value: tf.Tensor) -> tf.Tensor:
    variable.assign(value)
    return value


def _root(h: tf.Tensor, eps: float, placement: str) -> tf.Tensor:
    return tf.sqrt(h + eps) if placement == "inside" else tf.sqrt(h) + eps


def _correction(beta: float, t: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """1 − βᵗ, rounded once: near 1 a power in float32 would lose half of the digits."""
    return tf.cast(1 - tf.pow(tf.constant(beta, tf.float64), t), dtype)
