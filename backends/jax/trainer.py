"""The training loop, as a JAX user writes it: one jitted call a step, everything on the device."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from backends.jax import clips, observation, update
from backends.jax.layers import Arrays, Pass
from backends.jax.normalisation import Moments
from backends.jax.objective import coming, objective
from backends.jax.phases import Moving, Phases
from harness.backend import Evaluation, Floats, Integers, Parameters, Phase, Steps
from harness.observation import Layout, Marks, Observed, among
from harness.problems.data import Part
from harness.problems.masks import masks
from harness.problems.task import Task
from harness.spec.architecture import places
from harness.spec.cell import Cell
from harness.spec.job import Level
from harness.spec.layers import BatchNorm, Dropout
from harness.spec.problem import Network
from harness.spec.recipe import NoPenalty

fence: Callable[[Any], Any] = jax.block_until_ready

# Steps between two transfers: the length of the buffers, which is part of the compiled step's types.
BLOCK = 256
AT_ONCE: dict[Level, int] = {"minimal": 64, "standard": 16, "full": 16}  # of observed steps, whose rows may be long


class State(NamedTuple):
    """All that a step changes; donated to it."""

    parameters: Any  # name → array
    optimizer: Any  # what optax keeps
    running: Any  # moments of the batch norms
    key: Any  # what the masks of the coming steps are drawn from; None where none are drawn
    seen: Any  # name → (BLOCK, …): what the steps of this block report
    row: Any  # the step's place in this block
    scale: Any  # what the harness multiplies the rate by


class Look(NamedTuple):
    """What it takes to look at a step."""

    layout: Layout
    step: Callable[..., Any]
    table: Array  # (AT_ONCE of the level, width): a row for each step of a block that was looked at; donated to it


class JaxTrainer:
    """One training run in jitted JAX.

    Whether JAX has 64-bit types at all is a setting of the process. Every method sets it for itself and puts it
    back, so that trainers of both precisions can live side by side.
    """

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.cell, self.task, self.observing = cell, task, observe
        self.device = jax.devices(cell.device)[0]
        self.dtype = np.dtype(cell.precision)
        self.objective = objective(cell, task)
        self.penalised = not isinstance(cell.recipe.penalty, NoPenalty)
        self.steps = steps
        self.model = task.problem.model if isinstance(task.problem, Network) else ()
        found = tuple(places(self.model, task.inputs))
        self.normalised = {place.name: place.inputs[-1] for place in found if isinstance(place.layer, BatchNorm)}
        noisy = any(isinstance(place.layer, Dropout) for place in found)
        self.masked, self.drawn = noisy and self.objective.exact, noisy and not self.objective.exact
        self.step = jax.jit(self._step, donate_argnums=0)
        self.looks: dict[Level, Look] = {}  # what it takes to look at a step, made when it is asked for
        self.phases = Phases(cell, task.parameters, steps, self.objective)
        with self._precision():
            self.parts = fence({name: self._part(part) for name, part in task.parts.items()})
        self.reset(start)

    def reset(self, start: Parameters) -> None:
        parameters = {name: start[name].astype(self.dtype) for name in self.task.parameters}
        widths: dict[str, tuple[int, ...]] = {"loss": ()}
        if self.penalised:
            widths["penalty"] = ()
        if self.observing:
            widths["norms"] = (len(parameters),)
        seen = {name: np.zeros((BLOCK, *width), self.dtype) for name, width in widths.items()}
        running = {
            name: Moments(np.zeros(features, self.dtype), np.ones(features, self.dtype))
            for name, features in self.normalised.items()
        }
        with self._precision():
            kept = update.transformation(self.cell, self.task.parameters, self.steps).init(parameters)
            key = jax.random.key(0) if self.drawn else None
            state = State(parameters, kept, running, key, seen, np.int32(0), self.dtype.type(1))
            self.state = fence(self._put(state))
        self.structure, self.done = jax.tree.structure(self.state), 0
        self.last: Any = None  # the gradient of the step observed last

    def train(self, order: Integers) -> Steps:
        with self._precision():
            blocks = [self._block(order[begin : begin + BLOCK]) for begin in range(0, max(len(order), 1), BLOCK)]
        seen = {name: np.concatenate([block[name] for block in blocks]) for name in self.state.seen}
        return Steps(seen["loss"], seen.get("penalty", np.zeros(len(order))), seen.get("norms"))

    def observe(self, order: Integers, level: Level, which: Marks | None = None) -> Observed:
        which = np.ones(len(order), dtype=bool) if which is None else which
        with self._precision():
            if level not in self.looks:
                layout = Layout(self.task, level)
                # Were the gradient observed before given away too, XLA would copy it first.
                step = jax.jit(partial(self._observed_step, layout), donate_argnums=(0, 2))
                table = self._put(np.zeros((AT_ONCE[level], layout.width), self.dtype))
                self.looks[level] = Look(layout, step, table)
            layout = self.looks[level].layout
            tables: list[Floats] = [np.zeros((0, layout.width))]
            others: list[Floats] = [np.zeros((2, 0))]
            for begin, end in itertools.pairwise(_cuts(which, AT_ONCE[level])):
                table, rest = self._observed_block(order[begin:end], which[begin:end], level)
                tables.append(table)
                others.append(rest)
        losses, penalties = np.concatenate(others, axis=1)
        return among(layout.read(np.concatenate(tables), order.shape[1]), which, losses, penalties)

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        if name == "step":
            return lambda: _nothing(self.train(order))
        with self._precision():
            held, rows = fence(self._phase(name, order))  # what is held is not the phase's
            each = self.phases.phase(name, held, *rows[0])
            leaves, structure = jax.tree.flatten(held)

        def go() -> None:
            found = leaves
            with self._precision():
                for row in rows:
                    found = each(leaves, *row)
                fence(found)

        def update() -> None:
            found = jax.tree.leaves((self.state.parameters, self.state.optimizer))
            with self._precision():
                for row in rows:
                    found = each(found, *row)
                parameters, optimizer = jax.tree.unflatten(structure, fence(found))
            self.state = self.state._replace(parameters=parameters, optimizer=optimizer)
            self.done += len(rows)

        return update if name == "update" else go

    def _phase(self, name: Phase, order: Integers) -> tuple[Any, list[tuple[Any, ...]]]:
        """What a phase looks at in each call, and what each row brings to it."""
        state = self.state
        match name:
            case "forward" | "gradient":
                masks = self._masks(self.done, order.shape[1]) if self.masked else None
                moving = Moving(state.running, state.key, masks)
                return (state.parameters, moving, *self.parts["training"]), [(self._put(row),) for row in order]
            case "penalty":
                return state.parameters, [()] * len(order)
            case "clip":
                return (self._gradients(order[0]), state.parameters), [()] * len(order)
            case _:
                return (state.parameters, state.optimizer), [(self._gradients(order[0]), state.scale)] * len(order)

    def state_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.state.optimizer))

    def place(self, parameters: Parameters) -> None:
        placed = {name: parameters[name].astype(self.dtype) for name in self.task.parameters}
        with self._precision():
            self.state = self.state._replace(parameters=fence(self._put(placed)))

    def rescale(self, factor: float) -> None:
        with self._precision():
            self.state = self.state._replace(scale=fence(self._put(self.dtype.type(factor))))

    def gradients(self, indices: Integers) -> Parameters:
        with self._precision():
            return self._fetch(self._gradients(indices))

    def curvature(self, indices: Integers, vector: Parameters) -> Parameters:
        along = {name: vector[name].astype(self.dtype) for name in self.task.parameters}
        with self._precision():
            given = self._at(indices)
            found: Arrays = self.objective.curvature(self.state.parameters, self._put(along), *given)
            return {name: np.asarray(found[name]) for name in self.task.parameters}

    def evaluate(self, part: str) -> Evaluation:
        with self._precision():
            at = update.evaluated_at(self.cell.recipe, self.state.parameters, self.state.optimizer)
            loss, metric = jax.device_get(self.objective.evaluation(at, self.state.running, *self.parts[part]))
        with np.errstate(all="ignore"):
            return Evaluation(float(loss), None if metric is None else float(np.float64(metric[0]) / metric[1]))

    def parameters(self) -> Parameters:
        return self._fetch(self.state.parameters)

    def _gradients(self, indices: Integers) -> dict[str, Array]:
        found: dict[str, Array] = self.objective.gradient(self.state.parameters, *self._at(indices))
        return found

    def _at(self, indices: Integers) -> tuple[Any, ...]:
        """The data, a batch of it, and what the coming step draws and moves."""
        noise = self._masks(self.done, len(indices)) if self.masked else coming(self.state.key)[0]
        return *self.parts["training"], self._put(indices), (self.state.running, noise)

    def _block(self, rows: Integers) -> dict[str, Floats]:
        """Make up to BLOCK steps; what they report is fetched once."""
        order = np.zeros((BLOCK, rows.shape[1]), np.int32)
        order[: len(rows)] = rows
        given = *self.parts["training"], self._put(order)
        leaves, step = jax.tree.leaves(self.state._replace(row=self._put(np.int32(0)))), self.step
        if self.masked:
            for t in range(self.done, self.done + len(rows)):
                leaves = step(leaves, *given, self._masks(t, rows.shape[1]))
        else:
            for _ in range(len(rows)):
                leaves = step(leaves, *given)
        self.done += len(rows)
        self.state = fence(jax.tree.unflatten(self.structure, leaves))
        return {name: np.array(seen, np.float64)[: len(rows)] for name, seen in self.state.seen.items()}

    def _step(self, leaves: list[Array], x: Array, y: Array, order: Array, masks: Any = None) -> list[Array]:
        """One update, from and to the leaves of a state: a list crosses into compiled code faster than nested dicts."""
        state: State = jax.tree.unflatten(self.structure, leaves)
        parameters, batch = state.parameters, order[state.row]
        noise, key = (masks, None) if self.masked else coming(state.key)
        at = Pass(self.objective.exact, True, state.running, noise)
        gradient = jax.value_and_grad(self.objective.penalised, has_aux=True)
        (_, (seen, running)), g = gradient(parameters, x[batch], y[batch], at)
        if self.observing:
            seen["norms"] = jnp.stack([clips.norm(g[name]) for name in self.task.parameters])
        transformation = update.transformation(self.cell, self.task.parameters, self.steps, state.scale)
        updates, optimizer = transformation.update(g, state.optimizer, parameters)
        seen = {name: state.seen[name].at[state.row].set(value) for name, value in seen.items()}
        parameters = optax.apply_updates(parameters, updates)
        return jax.tree.leaves(State(parameters, optimizer, running, key, seen, state.row + 1, state.scale))

    def _observed_block(self, rows: Integers, which: Marks, level: Level) -> tuple[Floats, Floats]:
        """Make some steps, looking at those marked: their rows, and losses and penalties of the others."""
        order = np.zeros((BLOCK, rows.shape[1]), np.int32)
        order[: len(rows)] = rows
        given = *self.parts["training"], self._put(order)
        last = self.last if level != "minimal" else None
        if level != "minimal" and last is None:
            shapes = self.task.shapes.items()
            last = self._put({name: np.full(shape, np.nan, self.dtype) for name, shape in shapes})
        layout, step, table = self.looks[level]
        leaves = jax.tree.leaves(self.state._replace(row=self._put(np.int32(0))))
        seat = self._put(np.int32(0))
        for t, marked in enumerate(which, self.done):
            masks = self._masks(t, rows.shape[1]) if self.masked else None
            if marked:
                leaves, last, table, seat = step(leaves, last, table, seat, *given, masks)
            else:
                leaves = self.step(leaves, *given, *([masks] if self.masked else []))
        self.done += len(rows)
        self.state, self.last = fence(jax.tree.unflatten(self.structure, leaves)), last or self.last
        self.looks[level] = Look(layout, step, table)
        rest = np.zeros((2, int((~which).sum())))
        for i, name in enumerate(("loss", "penalty") if self.penalised else ("loss",)):
            rest[i] = np.array(self.state.seen[name], np.float64)[: len(rows)][~which]
        return np.array(table, np.float64)[: int(which.sum())], rest

    def _observed_step(
        self, layout: Layout, leaves: list[Array], last: Any, table: Array, seat: Array, *given: Any
    ) -> tuple[list[Array], Any, Array, Array]:
        """The same update, the gradient that it had where one is kept, the table with what was seen, the next seat."""
        x, y, order, masks = given
        state: State = jax.tree.unflatten(self.structure, leaves)
        batch, before = order[state.row], state.parameters
        noise, key = (masks, None) if self.masked else coming(state.key)
        at = Pass(self.objective.exact, True, state.running, noise)
        seen, running, g, looked = observation.differentiate(self.objective, layout, before, x[batch], y[batch], at)
        g, found = observation.of_gradients(layout, g, last)
        clip = clips.transformation(self.cell.recipe.clip, self.objective.exact)
        clipped, _ = clip.update(g, clip.init(before), before)
        transformation = update.transformation(self.cell, self.task.parameters, self.steps, state.scale)
        updates, optimizer = transformation.update(g, state.optimizer, before)
        after = optax.apply_updates(before, updates)
        tensors = observation.of_updates(layout, g, clipped, (before, after), found)
        head = jnp.stack([seen["loss"], seen.get("penalty", jnp.zeros_like(seen["loss"]))])
        table = table.at[seat].set(jnp.concatenate([head, *tensors, *looked]))
        made = State(after, optimizer, running, key, state.seen, state.row + 1, state.scale)
        return jax.tree.leaves(made), None if last is None else g, table, seat + 1

    def _masks(self, step: int, samples: int) -> Any:
        """The masks of a step, which are made on the host."""
        made = masks(self.model, self.task.inputs, step, samples)
        return self._put({name: mask.astype(self.dtype) for name, mask in made.items()})

    def _precision(self) -> Any:
        return jax.enable_x64(self.dtype == np.float64)

    def _part(self, part: Part) -> tuple[Array, Array]:
        labels = np.issubdtype(part.y.dtype, np.integer)
        return self._put(part.x.astype(self.dtype)), self._put(part.y.astype(np.int32 if labels else self.dtype))

    def _put(self, tree: Any) -> Any:
        # Without a copy an array could share the caller's memory, and a step is free to overwrite what it is given.
        return jax.device_put(tree, self.device, may_alias=False)

    def _fetch(self, arrays: Arrays) -> Parameters:
        return {name: np.array(arrays[name], np.float64) for name in self.task.parameters}


def _cuts(which: Marks, most: int) -> list[int]:
    """Where to cut steps into blocks of at most BLOCK, of which at most so many are marked."""
    cuts, looked = [0], 0
    for t, marked in enumerate(which):
        looked += int(marked)
        if looked > most or t - cuts[-1] == BLOCK:
            cuts.append(t)
            looked = int(marked)
    return [*cuts, len(which)] if len(which) else cuts


def _nothing(_: object) -> None:
    """What a phase gives: its work is its result."""
