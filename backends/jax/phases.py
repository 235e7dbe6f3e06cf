"""One phase of the training step by itself, for timing: compiled once for each size of a batch.

A phase goes from arrays to arrays, so that XLA can leave nothing of it out, and is called once for each row, so that
XLA can move nothing out of a loop. What one thread dispatches runs in that order: the end of the last call is the end
of all.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jax import Array
from msgspec.structs import replace

from backends.jax import clips, update
from backends.jax.layers import Arrays, Pass
from backends.jax.objective import Objective, coming
from harness.backend import Phase
from harness.spec.cell import Cell
from harness.spec.recipe import NoClip


class Moving(NamedTuple):
    """What a pass in training mode looks at besides parameters and data."""

    running: Any  # moments of the batch norms
    key: Any  # what its masks are drawn from; None where none are drawn
    masks: Any  # its masks by name, where they come from the host; else None


class Phases:
    """The phases of one trainer's step."""

    def __init__(self, cell: Cell, parameters: tuple[str, ...], steps: int, objective: Objective) -> None:
        self.recipe, self.parameters, self.objective = cell.recipe, parameters, objective
        self.unclipped = replace(cell, recipe=replace(cell.recipe, clip=NoClip()))
        self.steps = steps
        self.compiled: dict[object, Callable[..., list[Array]]] = {}

    def phase(self, name: Phase, held: Any, *row: Any) -> Callable[..., list[Array]]:
        """The phase, compiled for such arguments, from the leaves of ``held`` and what each row brings to leaves.

        A list crosses into compiled code faster than nested dicts. An update overwrites what it is given.
        """
        shapes = (name, *(one.shape for one in jax.tree.leaves(row)))
        if shapes not in self.compiled:
            leaves, structure = jax.tree.flatten(held)
            body = self._body(name)

            def flat(leaves: list[Array], *row: Any) -> list[Array]:
                return jax.tree.leaves(body(jax.tree.unflatten(structure, leaves), *row))

            jitted = jax.jit(flat, donate_argnums=0 if name == "update" else ())
            self.compiled[shapes] = jitted.lower(leaves, *row).compile()
        return self.compiled[shapes]

    def _body(self, name: Phase) -> Callable[..., Any]:
        match name:
            case "forward":
                return self._forward
            case "gradient":
                return self._gradient
            case "penalty":
                assert self.objective.penalty is not None, "a job asks for the phases that its recipe has"
                return jax.value_and_grad(self.objective.penalty)
            case "clip":
                return self._clip
            case "update":
                return self._update
            case "step":
                raise ValueError("a whole step is train's")

    def _forward(self, held: tuple[Arrays, Moving, Array, Array], batch: Array) -> Any:
        """Loss + penalty; both apart, and the running moments after it."""
        parameters, moving, x, y = held
        return self.objective.penalised(parameters, x[batch], y[batch], self._pass(moving))

    def _gradient(self, held: tuple[Arrays, Moving, Array, Array], batch: Array) -> Any:
        """The same, and its gradient."""
        parameters, moving, x, y = held
        gradient = jax.value_and_grad(self.objective.penalised, has_aux=True)
        return gradient(parameters, x[batch], y[batch], self._pass(moving))

    def _pass(self, moving: Moving) -> Pass:
        noise = coming(moving.key)[0] if moving.masks is None else moving.masks
        return Pass(self.objective.exact, True, moving.running, noise)

    def _clip(self, held: tuple[Arrays, Arrays]) -> Any:
        """The clipped gradients, from them and the parameters."""
        g, parameters = held
        clip = clips.transformation(self.recipe.clip, self.objective.exact)
        return clip.update(g, clip.init(parameters), parameters)[0]

    def _update(self, held: tuple[Arrays, Any], g: Arrays, scale: Array) -> Any:
        """Parameters and state after one update by the gradients as they are."""
        parameters, state = held
        transformation = update.transformation(self.unclipped, self.parameters, self.steps, scale)
        updates, state = transformation.update(g, state, parameters)
        return optax.apply_updates(parameters, updates), state
