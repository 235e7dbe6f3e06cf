"""A Keras optimizer whose formula is composed here: its state, and the way from gradients to new weights."""

import keras
import numpy as np
import tensorflow as tf

from backends.tensorflow import formulas
from backends.tensorflow.formulas import At, State
from backends.tensorflow.schedules import Rate
from harness.backend import Floats
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
)


class Composed(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras has no types
    """w ← w − Δ for each parameter, or for all of them in one vector where the formula is joint."""

    def __init__(self, spec: Optimizer, rate: Rate, decays: tuple[float, ...], **shared: float) -> None:
        """``decays`` are each parameter's λ inside the formula."""
        super().__init__(rate, name=spec.spelling(), **shared)
        self.spec, self.decays = spec, decays

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the state."""
        if self.built:
            return
        super().build(variables)
        self.states = [
            {name: self._variable(name, value) for name, value in start(self.spec, w).items()}
            for w in self._seen([variable.numpy() for variable in variables])
        ]

    def restart(self) -> None:
        """The state before the first step, from the present weights."""
        weights = self._seen([variable.numpy() for variable in self._trainable_variables])
        for state, w in zip(self.states, weights, strict=True):
            for name, value in start(self.spec, w).items():
                state[name].assign(value)

    def evaluated_at(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """The parameters that stand elsewhere when the network is evaluated, and their values there."""
        if not isinstance(self.spec, ScheduleFree):
            return []
        return [(w, state["x"].value) for w, state in zip(self._trainable_variables, self.states, strict=True)]

    def _backend_update_step(
        self, gradients: list[tf.Tensor], variables: list[keras.Variable], learning_rate: tf.Tensor
    ) -> None:
        """What Keras calls with the clipped gradients of all parameters, and Nadam extends too."""
        weights = [variable.value for variable in variables]
        eta = tf.cast(learning_rate, gradients[0].dtype)
        t = tf.cast(self.iterations + 1, tf.float64)
        if isinstance(self.spec, LBFGS):
            deltas = self._joint(gradients, weights, eta, t)
        else:
            each = enumerate(zip(gradients, weights, self.decays, strict=True))
            deltas = [delta(self.spec, At(g, w, eta, t, decay), self._state(i)) for i, (g, w, decay) in each]
        for w, by in zip(weights, deltas, strict=True):
            w.assign_sub(by)

    def _joint(
        self, gradients: list[tf.Tensor], weights: list[tf.Variable], eta: tf.Tensor, t: tf.Tensor
    ) -> list[tf.Tensor]:
        """Each parameter's part of the Δ of one vector."""
        g, w = (tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0) for tensors in (gradients, weights))
        sizes = [w.shape.num_elements() for w in weights]
        decay = tf.repeat(tf.constant(self.decays, g.dtype), sizes)
        parts = tf.split(delta(self.spec, At(g, w, eta, t, decay), self._state(0)), sizes)
        return [tf.reshape(part, w.shape) for part, w in zip(parts, weights, strict=True)]

    def _seen(self, weights: list[Floats]) -> list[Floats]:
        """The tensors that the formula sees."""
        return [np.concatenate([w.ravel() for w in weights])] if isinstance(self.spec, LBFGS) else weights

    def _variable(self, name: str, value: Floats) -> keras.Variable:
        return self.add_variable(value.shape, dtype=str(value.dtype), name=name)

    def _state(self, i: int) -> State:
        return {name: variable.value for name, variable in self.states[i].items()}


def start(spec: Optimizer, w: Floats) -> dict[str, Floats]:
    """What an optimizer keeps for a parameter that starts at w, as it is at the start."""
    zero = np.zeros_like(w)
    match spec:
        case SGD() | Adadelta():
            return {}
        case Momentum() | LARS():
            return {"v": zero}
        case AdaGrad(initial_accumulator=initial):
            return {"h": np.full_like(w, initial)}
        case RMSProp(centred=centred, momentum=momentum):
            return {"h": zero} | ({"m": zero} if centred else {}) | ({"v": zero} if momentum else {})
        case Adam(amsgrad=amsgrad):
            return {"m": zero, "v": zero} | ({"max": zero} if amsgrad != "no" else {})
        case Adamax():
            return {"m": zero, "u": zero}
        case NAdam():
            return {"m": zero, "v": zero, "product": np.ones((), np.float64)}
        case RAdam() | LAMB():
            return {"m": zero, "v": zero}
        case AdaBelief():
            return {"m": zero, "s": zero}
        case Lion():
            return {"m": zero}
        case Adafactor(factored=True) if w.ndim >= 2:
            return {"rows": zero[..., :1], "columns": zero[..., :1, :]}
        case Adafactor():
            return {"v": zero}
        case Muon():
            return {"b": zero} if w.ndim == 2 else {"m": zero, "v": zero}
        case Rprop():
            return {"g": zero, "s": np.full_like(w, spec.lr)}
        case Yogi(initial_accumulator=initial):
            return {"m": np.full_like(w, initial), "v": np.full_like(w, initial)}
        case Adan():
            return {"g": zero, "m": zero, "v": zero, "n": zero}
        case ScheduleFree():
            moment = {"v": zero} if spec.base == "adam" else {}
            squares = {"squares": np.zeros((), w.dtype)} if spec.weights == "squares" else {}
            return {"z": w, "x": w} | moment | squares
        case LBFGS(memory=memory):
            rows = np.zeros((memory, w.size), w.dtype)
            return {"step": zero, "g": zero, "s": rows, "y": rows}


def delta(spec: Optimizer, at: At, state: State) -> tf.Tensor:
    """Δ of any optimizer; updates ``state``."""
    match spec:
        case SGD() | Adadelta():
            raise TypeError(f"{spec.spelling()} is Keras's own")
        case Momentum():
            return formulas.momentum(spec, at, state)
        case AdaGrad():
            return formulas.adagrad(spec, at, state)
        case RMSProp():
            return formulas.rmsprop(spec, at, state)
        case Adam():
            return formulas.adam(spec, at, state)
        case Adamax():
            return formulas.adamax(spec, at, state)
        case NAdam():
            return formulas.nadam(spec, at, state)
        case RAdam():
            return formulas.radam(spec, at, state)
        case Lion():
            return formulas.lion(spec, at, state)
        case Adafactor():
            return formulas.adafactor(spec, at, state)
        case LARS():
            return formulas.lars(spec, at, state)
        case LAMB():
            return formulas.lamb(spec, at, state)
        case Muon():
            return formulas.muon(spec, at, state)
        case Rprop():
            return formulas.rprop(spec, at, state)
        case Yogi():
            return formulas.yogi(spec, at, state)
        case AdaBelief():
            return formulas.adabelief(spec, at, state)
        case Adan():
            return formulas.adan(spec, at, state)
        case ScheduleFree():
            return formulas.schedule_free(spec, at, state)
        case LBFGS():
            return formulas.lbfgs(spec, at, state)
