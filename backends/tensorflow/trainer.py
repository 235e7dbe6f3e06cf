"""The training loop, as an expert in TensorFlow writes it: one function for a step, called once for each batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from backends.tensorflow import curvature, functions, layers, losses, modes, penalties
from backends.tensorflow.observation import Observer
from backends.tensorflow.phases import Phases
from backends.tensorflow.update import Update
from harness.backend import Evaluation, Integers, Parameters, Phase, Steps
from harness.observation import Marks, Observed, among
from harness.problems.data import Part
from harness.problems.masks import masks
from harness.problems.task import Task
from harness.spec.architecture import places
from harness.spec.cell import Cell
from harness.spec.job import Level
from harness.spec.layers import Dropout
from harness.spec.problem import Network


class TensorFlowTrainer:
    """One training run, in any mode; evaluation, which nobody times, is always traced."""

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.cell, self.task, self.observing = cell, task, observe
        self.exact = cell.implementation == "exact"
        with self._settings():
            self._build(steps)
        mode = modes.GRAPH if cell.mode == "default" else cell.mode
        self._step = modes.run(self._training_step, mode)
        self._gradients = modes.run(self._batch_gradients, mode)
        self._curvature = curvature.traced(self)
        self._evaluation = modes.run(self._part_evaluation, modes.GRAPH)
        self._phases = Phases(self, mode)
        self.observers: dict[Level, Observer] = {}
        self.mode = mode
        self.reset(start)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """What is global in Keras and TensorFlow: set before anything is built or traced."""
        keras.config.set_floatx(self.cell.precision)
        keras.config.set_dtype_policy(self.cell.precision)
        # By default TensorFlow rounds the factors of float32 matrix products to 10 bits on GPUs.
        tf.config.experimental.enable_tensor_float_32_execution(not self.exact)
        with tf.device("/GPU:0" if self.cell.device == "cuda" else "/CPU:0"):
            yield

    def _build(self, steps: int) -> None:
        problem = self.task.problem
        self.masked: dict[str, tuple[int, ...]] = {}  # the shapes of the masks that come from the host, by layer
        self.model: layers.Network | functions.Value
        if isinstance(problem, Network):
            self.model = layers.Network(problem.model, self.task.inputs, self.exact, self.cell.device == "cuda")
            if self.exact:
                at = places(problem.model, self.task.inputs)
                self.masked = {place.name: place.inputs for place in at if isinstance(place.layer, Dropout)}
        else:
            self.model = functions.Value(problem, self.task, self.cell.precision)
        self.named = self.model.parameters
        self.state = [(variable, variable.numpy()) for variable in self.model.state]
        self.parts = {name: self._part(part) for name, part in self.task.parts.items()}
        self.penalty = penalties.penalty(self.cell.recipe.penalty, self.named, self.task.samples, self.exact)
        self.update = Update(self.cell, self.named, steps)

    def _part(self, part: Part) -> tuple[tf.Tensor, tf.Tensor]:
        labels = np.issubdtype(part.y.dtype, np.integer)
        return tf.constant(part.x, self.cell.precision), tf.constant(part.y, None if labels else self.cell.precision)

    def _loss(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        problem = self.task.problem
        return losses.loss(problem.loss, outputs, y, self.exact) if isinstance(problem, Network) else outputs

    @property
    def weights(self) -> list[tf.Variable]:
        """The parameters, in the order of their gradients."""
        return [variable.value for variable in self.named.values()]

    def objective(
        self, indices: tf.Tensor, drawn: tuple[tf.Tensor, ...], look: layers.Look | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and penalty on a batch, in training mode; moves running moments and random seeds on."""
        x, y = (tf.gather(values, indices) for values in self.parts["training"])
        loss = self._loss(self.model(x, True, dict(zip(self.masked, drawn, strict=True)), look), y)
        return loss, tf.zeros_like(loss) if self.penalty is None else self.penalty()

    def differentiate(
        self, indices: tf.Tensor, drawn: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Loss, penalty, and the gradient of their sum."""
        with tf.GradientTape() as tape:
            loss, penalty = self.objective(indices, drawn)
            total = loss + penalty
        # Dense, also where an embedding's came as the rows looked up.
        return loss, penalty, [tf.convert_to_tensor(g) for g in tape.gradient(total, self.weights)]

    def _training_step(self, indices: tf.Tensor, *drawn: tf.Tensor) -> tf.Tensor:
        """One update; gives loss, penalty and, when observed, the gradients' norms."""
        loss, penalty, gradients = self.differentiate(indices, drawn)
        norms = [tf.norm(g) for g in gradients] if self.observing else []
        self.update(gradients)
        return tf.stack([loss, penalty, *norms])

    def _batch_gradients(self, indices: tf.Tensor, *drawn: tf.Tensor) -> list[tf.Tensor]:
        # What the layers assign stays in the scope.
        with keras.StatelessScope():
            return self.differentiate(indices, drawn)[2]

    def _part_evaluation(self, x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        """Loss and, for networks, metric."""
        with keras.StatelessScope(state_mapping=self.update.evaluated_at()):
            outputs = self.model(x, False, {})
        problem = self.task.problem
        metrics = [losses.metric(problem.loss, outputs, y)] if isinstance(problem, Network) else []
        return [self._loss(outputs, y), *metrics]

    def masks(self, step: int, samples: int) -> list[tf.Tensor]:
        """The masks of one step, on the device."""
        problem = self.task.problem
        if not self.masked or not isinstance(problem, Network):
            return []
        drawn = masks(problem.model, self.task.inputs, step, samples)
        return [tf.constant(drawn[name], self.cell.precision) for name in self.masked]

    def batches(self, samples: int) -> list[tf.TensorSpec]:
        """What a step takes: indices, and masks."""
        precision = self.cell.precision
        return [
            tf.TensorSpec([samples], tf.int32),
            *(tf.TensorSpec([samples, *shape], precision) for shape in self.masked.values()),
        ]

    def place(self, parameters: Parameters) -> None:
        with self._settings():
            for name, variable in self.named.items():
                variable.assign(parameters[name])
            self._fence()

    def reset(self, start: Parameters) -> None:
        self.place(start)
        with self._settings():
            for variable, value in self.state:
                variable.assign(value)
            self.update.reset()
            self._fence()
        self.steps = 0
        self.last: list[tf.Tensor] | None = None  # the gradient of the step observed last

    def _fence(self) -> None:
        """Wait for the GPU; on a CPU all is done."""
        if self.cell.device == "cuda":
            tf.test.experimental.sync_devices()

    def rescale(self, factor: float) -> None:
        with self._settings():
            self.update.rescale(factor)
            self._fence()

    def train(self, order: Integers) -> Steps:
        return self._ready(order)()

    def _ready(self, order: Integers) -> Callable[[], Steps]:
        """Training on these rows, but for what can be made ready: the traced step and the rows on the device."""
        with self._settings():
            step = modes.concrete(self._step, *self.batches(order.shape[1]))
            rows = tf.unstack(tf.constant(order))

        def go() -> Steps:
            with self._settings():
                if self.masked:
                    seen = [step(row, *self.masks(t, len(row))) for t, row in enumerate(rows, self.steps)]
                else:
                    seen = [step(row) for row in rows]
                # One transfer a block, which is also the fence.
                table = tf.stack(seen).numpy() if seen else np.empty((0, 2 + len(self.named)))
            self.steps += len(order)
            table = table.astype(np.float64)
            return Steps(table[:, 0], table[:, 1], table[:, 2:] if self.observing else None)

        return go

    def observe(self, order: Integers, level: Level, which: Marks | None = None) -> Observed:
        which = np.ones(len(order), dtype=bool) if which is None else which
        with self._settings():
            if level not in self.observers:
                self.observers[level] = Observer(self, level, self.mode)
            observer, rows, others = self.observers[level], [], []
            step = modes.concrete(self._step, *self.batches(order.shape[1])) if not which.all() else None
            for row, marked in zip(tf.unstack(tf.constant(order)), which, strict=True):
                if marked or step is None:
                    rows.append(observer.step(row))
                else:
                    others.append(step(row, *self.masks(self.steps, len(row))) if self.masked else step(row))
                self.steps += 1
            table = tf.stack(rows).numpy() if rows else np.empty((0, observer.layout.width))
            rest = tf.stack(others).numpy().astype(np.float64) if others else np.empty((0, 2))
        return among(observer.layout.read(table, order.shape[1]), which, rest[:, 0], rest[:, 1])

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        if name == "step":
            ready = self._ready(order)
            return lambda: _nothing(ready())
        with self._settings():
            if name in ("forward", "gradient"):
                drawn = self.masks(self.steps, order.shape[1])
                given = [(row, *drawn) for row in tf.unstack(tf.constant(order))]
            else:
                held = () if name == "penalty" else self._held(order[0])
                given = [held] * len(order)
            each = self._phases.phase(name, *given[0])
            self._fence()  # what is held is not the phase's

        def go() -> None:
            with self._settings():
                for tensors in given:
                    each(*tensors)
                tf.test.experimental.sync_devices()
            self.steps += len(given) if name == "update" else 0

        return go

    def state_bytes(self) -> int:
        return self.update.state_bytes()

    def _held(self, indices: Integers) -> tuple[tf.Tensor, ...]:
        """The gradients of one batch, on the device, in the order of the parameters."""
        function = modes.concrete(self._gradients, *self.batches(len(indices)))
        return tuple(function(tf.constant(indices), *self.masks(self.steps, len(indices))))

    def gradients(self, indices: Integers) -> Parameters:
        with self._settings():
            gradients = self._held(indices)
            return {name: g.numpy().astype(np.float64) for name, g in zip(self.named, gradients, strict=True)}

    def curvature(self, indices: Integers, vector: Parameters) -> Parameters:
        with self._settings():
            along = [tf.constant(vector[name], self.cell.precision) for name in self.named]
            products = self._curvature(tf.constant(indices), along, self.masks(self.steps, len(indices)))
            return {name: hv.numpy() for name, hv in zip(self.named, products, strict=True)}

    def evaluate(self, part: str) -> Evaluation:
        with self._settings():
            x, y = self.parts[part]
            # Of any length: one trace for all parts.
            anywhere = [tf.TensorSpec([None, *values.shape[1:]], values.dtype) for values in (x, y)]
            loss, *metrics = (float(value) for value in modes.concrete(self._evaluation, *anywhere)(x, y))
        return Evaluation(loss, metrics[0] if metrics else None)

    def parameters(self) -> Parameters:
        return {name: variable.numpy().astype(np.float64) for name, variable in self.named.items()}


def _nothing(_: object) -> None:
    """What a phase gives: its work is its result."""
