"""The training loop, as a PyTorch user writes it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from backends.torch import curvature, dropout, functions, layers, losses, modes, normalisation, penalties, phases
from backends.torch.dropout import Draws, Masked
from backends.torch.observation import Observer
from backends.torch.update import Update
from harness.backend import Evaluation, Floats, Integers, Parameters, Phase, Steps
from harness.observation import Marks, Observed, among
from harness.problems.data import Part
from harness.problems.masks import masks
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.job import Level
from harness.spec.layers import Embedding
from harness.spec.problem import Network

# Whether cuBLAS was allowed to round so when this process was started, as a variable of the environment may say.
MATMUL_TF32 = torch.backends.cuda.matmul.allow_tf32


class TorchTrainer:
    """One training run: eager, or with its loss and update compiled."""

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.cell, self.task, self.steps, self.observing = cell, task, steps, observe
        self.device = torch.device(cell.device)
        self.dtype = torch.float64 if cell.precision == "float64" else torch.float32
        torch.set_default_dtype(self.dtype)
        self.module = self._module().to(self.device)
        self.named = layers.trained(self.module)
        self.masked = any(isinstance(module, Masked) for module in self.module.modules())
        self.draws = any(isinstance(module, nn.Dropout) for module in self.module.modules())
        self.weights = list(self.named.values())
        self.loss = self._loss
        if cell.mode == modes.COMPILED:
            torch.compiler.reset()  # what was compiled for other trainers counts against a limit
            self.loss = torch.compile(self._loss, dynamic=False)
        self.parts = {name: self._part(part) for name, part in task.parts.items()}
        self.penalty = penalties.penalty(cell.recipe.penalty, self.named, task.samples)
        self.update = Update(cell, self.named, steps)
        self.observers: dict[Level, Observer] = {}
        self.reset(start)

    def _module(self) -> nn.Module:
        problem = self.task.problem
        if isinstance(problem, Network):
            return layers.build(problem.model, self.task.inputs, self.cell.implementation == "exact")
        return functions.Value(problem, self.task)

    def _part(self, part: Part) -> tuple[Tensor, Tensor]:
        problem = self.task.problem
        tokens = isinstance(problem, Network) and any(isinstance(layer, Embedding) for layer in problem.model)
        x, y = torch.as_tensor(part.x, dtype=torch.int64 if tokens else self.dtype), torch.as_tensor(part.y)
        y = y.to(self.dtype) if y.is_floating_point() else y
        return x.to(self.device), y.to(self.device)

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        outputs: Tensor = self.module(x)
        problem = self.task.problem
        return losses.loss(problem.loss, outputs, y) if isinstance(problem, Network) else outputs

    @torch.no_grad()
    def place(self, parameters: Parameters) -> None:
        for name, parameter in self.named.items():
            parameter.copy_(layers.from_canonical(name, torch.as_tensor(parameters[name])))

    @torch.no_grad()
    def reset(self, start: Parameters) -> None:
        # torch.optim keeps scalar state (the step) in the default dtype.
        torch.set_default_dtype(self.dtype)
        self._set_precision()
        self.place(start)
        for parameter in self.weights:
            parameter.grad = None
        normalisation.forget(self.module)
        self.random = Draws(self.device) if self.draws else None
        if self.cell.mode == modes.COMPILED:
            self.update.restart()
        else:
            self.update = Update(self.cell, self.named, self.steps)
        self.last: tuple[list[Tensor], Tensor] | None = None  # the gradient of the step observed last, and its norms
        self._fence()

    def _set_precision(self) -> None:
        """By default cuDNN rounds what it multiplies in float32 to ten bits of the mantissa, and cuBLAS does not."""
        shipped = self.cell.implementation == "shipped"
        torch.backends.cudnn.allow_tf32 = shipped
        torch.backends.cuda.matmul.allow_tf32 = shipped and MATMUL_TF32

    def _fence(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _rows(self, order: Integers) -> tuple[Tensor, ...]:
        """The batches on the device; on a GPU as what torch would make of a row, by a kernel at each use."""
        rows = torch.as_tensor(order)
        return (rows.to(self.device, torch.int64) if self.device.type == "cuda" else rows).unbind(0)

    def rescale(self, factor: float) -> None:
        self.update.rescale(factor)

    def train(self, order: Integers) -> Steps:
        with self._drawing(on=True):
            return self._train(order)

    def _train(self, order: Integers) -> Steps:
        seen: list[Tensor] = []
        penalised: list[Tensor] = []
        norms: list[Tensor] = []
        for row in self._rows(order):
            self._step(row, seen, penalised, norms)
        observed = _fetch(norms, len(order), len(self.weights)) if self.observing else None
        return Steps(_fetch(seen, len(order)), _fetch(penalised, len(order)), observed)

    def _step(self, row: Tensor, seen: list[Tensor], penalised: list[Tensor], norms: list[Tensor]) -> None:
        """One update; what it reports goes onto the lists."""
        x, y = self.parts["training"]
        if self.masked:
            self._mask(len(row))
        loss = self.loss(x[row], y[row])
        seen.append(loss.detach())
        if self.penalty is not None:
            extra = self.penalty()
            penalised.append(extra.detach())
            loss = loss + extra
        torch.autograd.backward(loss)
        if self.observing:
            norms.append(torch.stack(torch._foreach_norm([w.grad for w in self.weights if w.grad is not None])))
        self.update()

    def observe(self, order: Integers, level: Level, which: Marks | None = None) -> Observed:
        if level not in self.observers:
            self.observers[level] = Observer(self, level)
        observer, which = self.observers[level], np.ones(len(order), dtype=bool) if which is None else which
        rows: list[Tensor] = []
        seen: list[Tensor] = []
        penalised: list[Tensor] = []
        with self._drawing(on=True):
            for row, marked in zip(self._rows(order), which, strict=True):
                if marked:
                    rows.append(observer.step(row))
                else:
                    self._step(row, seen, penalised, [])
        found = observer.layout.read(_fetch(rows, len(rows), observer.layout.width), order.shape[1])
        others = len(order) - len(rows)
        return among(found, which, _fetch(seen, others), _fetch(penalised, others))

    def backward(self, row: Tensor) -> tuple[Tensor, Tensor | None]:
        """Loss and penalty of a batch, and the gradients of their sum, nothing of it compiled."""
        x, y = self.parts["training"]
        if self.masked:
            self._mask(len(row))
        loss = self._loss(x[row], y[row])
        penalty = None if self.penalty is None else self.penalty()
        torch.autograd.backward(loss if penalty is None else loss + penalty)
        return loss.detach(), None if penalty is None else penalty.detach()

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        if name == "step":
            return lambda: _nothing(self.train(order))
        rows = self._rows(order)
        each = phases.phase(self, name)
        held = self._held(rows[0]) if name in ("clip", "update") else ()

        def go() -> None:
            with self._drawing(on=True), phases.holding(self.weights, held):
                for row in rows:
                    each(row)
            self._fence()

        self._fence()  # what is held is not the phase's
        return go

    def objective(self, row: Tensor) -> Tensor:
        """Loss + penalty on a batch, in training mode."""
        x, y = self.parts["training"]
        if self.masked:
            self._mask(len(row))
        loss: Tensor = self.loss(x[row], y[row])
        return loss if self.penalty is None else loss + self.penalty()

    def state_bytes(self) -> int:
        return self.update.state_bytes()

    def gradients(self, indices: Integers) -> Parameters:
        x, y = self.parts["training"]
        row = torch.as_tensor(indices, device=self.device)
        with self._undisturbed(len(row)):
            loss = self._loss(x[row], y[row])
            loss = loss if self.penalty is None else loss + self.penalty()
            gradients = torch.autograd.grad(loss, self.weights)
        return {name: _canonical(name, g) for name, g in zip(self.named, gradients, strict=True)}

    def curvature(self, indices: Integers, vector: Parameters) -> Parameters:
        x, y = self.parts["training"]
        row = torch.as_tensor(indices, device=self.device)
        along = [
            layers.from_canonical(name, torch.as_tensor(vector[name], dtype=self.dtype)).to(self.device)
            for name in self.named
        ]
        with self._undisturbed(len(row)), curvature.differentiable(self.module):
            loss = self._loss(x[row], y[row])
            loss = loss if self.penalty is None else loss + self.penalty()
            products = curvature.product(loss, self.weights, along)
        return {
            name: layers.to_canonical(name, hv).cpu().numpy() for name, hv in zip(self.named, products, strict=True)
        }

    def _held(self, row: Tensor) -> tuple[Tensor, ...]:
        """The gradients of a batch as a step leaves them: laid out as their parameters, which a kernel may rely on."""
        with self._undisturbed(len(row)):
            torch.autograd.backward(self.objective(row))
        held = tuple(w.grad for w in self.weights if w.grad is not None)
        for w in self.weights:
            w.grad = None
        return held

    @torch.no_grad()
    def evaluate(self, part: str) -> Evaluation:
        x, y = self.parts[part]
        problem = self.task.problem
        self.module.eval()
        with self.update.evaluated():
            outputs = self.module(x)
        self.module.train()
        if not isinstance(problem, Network):
            return Evaluation(float(outputs), None)
        return Evaluation(float(losses.loss(problem.loss, outputs, y)), losses.metric(problem.loss, outputs, y))

    def parameters(self) -> Parameters:
        return {name: _canonical(name, w.detach()) for name, w in self.named.items()}

    def _mask(self, samples: int) -> None:
        """Hand in the coming step's dropout masks."""
        problem = self.task.problem
        if isinstance(problem, Network):
            found = masks(problem.model, self.task.inputs, self.update.t, samples)
            dropout.hand_in(self.module, found, self.weights[0])

    def _drawing(self, on: bool) -> AbstractContextManager[None]:
        return nullcontext() if self.random is None else self.random.drawing(on)

    @contextmanager
    def _undisturbed(self, samples: int) -> Iterator[None]:
        """The coming step, after which running moments and generators are as before."""
        kept = [values.clone() for values in self.module.buffers()]
        if self.masked:
            self._mask(samples)
        with self._drawing(on=False):
            yield
        for values, before in zip(self.module.buffers(), kept, strict=True):
            values.copy_(before)


def _nothing(_: object) -> None:
    """What a phase gives: its work is its result."""


def _canonical(name: str, values: Tensor) -> Floats:
    return layers.to_canonical(name, values).cpu().double().numpy().copy()


def _fetch(values: list[Tensor], *shape: int) -> Floats:
    """One transfer a block, which is also the fence; zeros where nothing was kept."""
    return torch.stack(values).cpu().double().numpy() if values else torch.zeros(shape).double().numpy()
