"""Steady seconds: of whole steps, of what they consist of, of an optimizer's update alone."""

from collections.abc import Sequence

from harness.spec.base import Spec
from harness.spec.optimizers import SGD, Adam, Lion
from harness.spec.recipe import L1, L2, Adaptive, ByValue, Clip, Decoupled, GlobalNorm, Penalty, PerTensor, Recipe
from suites import contenders, timed

BATCHES = [1, 32, 512]
# Recipes by the name that people know; rates do not matter to the clock.
UPDATES: dict[str, Recipe] = {
    "SGD": Recipe(SGD(lr=0.01)),
    "Adam": Recipe(Adam(lr=0.001)),
    "AdamW": Recipe(Adam(lr=0.001), decay=Decoupled(0.01)),
    "Lion": Recipe(Lion(lr=0.001)),
}
# Thresholds below what random gradients have, so that every clip has its work to do.
CLIPS: dict[str, Clip] = {
    "global norm": GlobalNorm(1.0),
    "per tensor": PerTensor(1.0),
    "by value": ByValue(-0.5, 0.5),
    "adaptive": Adaptive(0.01),
}
PENALTIES: dict[str, Penalty] = {"L1": L1(0.01), "L2": L2(0.01)}


class Step(timed.Timed):
    """A whole training step: forward, backward, Adam."""

    params = [contenders.EACH, list(contenders.ARCHITECTURES), BATCHES]
    param_names = ["contender", "architecture", "batch"]
    computes = contenders.NETWORKS

    def setup(self, contender: str, architecture: str, batch: int) -> None:
        """Open a worker, once."""
        self.open(contenders.cell(contender, contenders.architecture(architecture), contenders.ADAM, batch))

    def time_step(self, contender: str, architecture: str, batch: int) -> None:
        """Seconds a step."""
        self.block()


class Modes(timed.Timed):
    """The perceptron's step at batch 32 in every mode of every framework."""

    params = [contenders.MODES]
    param_names = ["contender"]
    computes = contenders.NETWORKS

    def setup(self, contender: str) -> None:
        """Open a worker, once."""
        self.open(contenders.cell(contender, contenders.architecture("MLP"), contenders.ADAM, 32))

    def time_step(self, contender: str) -> None:
        """Seconds a step."""
        self.block()


class OfBatch(timed.Timed):
    """A phase of the step on a batch of 32."""

    params = [contenders.EACH, list(contenders.ARCHITECTURES)]
    param_names = ["contender", "architecture"]
    computes = contenders.NETWORKS

    def setup(self, contender: str, architecture: str) -> None:
        """Open a worker, once."""
        self.open(contenders.cell(contender, contenders.architecture(architecture), contenders.ADAM, 32))


class Forward(OfBatch):
    """The loss of a batch, in training mode."""

    phase = "forward"

    def time_forward(self, contender: str, architecture: str) -> None:
        """Seconds a batch."""
        self.block()


class Gradient(OfBatch):
    """Forward and backward for a batch."""

    phase = "gradient"

    def time_gradient(self, contender: str, architecture: str) -> None:
        """Seconds a batch."""
        self.block()


class Update(timed.Timed):
    """An optimizer's update alone: gradients are held."""

    phase = "update"
    params = [contenders.KERNELS, list(UPDATES), [10**3, 10**5, 10**7]]
    param_names = ["contender", "optimizer", "parameters"]
    recipes = UPDATES
    tensors = 1

    @property
    def computes(self) -> Sequence[Spec]:
        """The recipes."""
        return tuple(self.recipes.values())

    def setup(self, contender: str, optimizer: str, parameters: int) -> None:
        """Open a worker, once."""
        problem = contenders.parameters(parameters, self.tensors)
        self.open(contenders.cell(contender, problem, self.recipes[optimizer], 1))

    def time_update(self, contender: str, optimizer: str, parameters: int) -> None:
        """Seconds an update."""
        self.block()


class UpdateInPieces(timed.Timed):
    """Adam's update of a million parameters, in one tensor and in a hundred."""

    phase = "update"
    params = [contenders.KERNELS, [1, 100]]
    param_names = ["contender", "tensors"]
    computes = (UPDATES["Adam"],)

    def setup(self, contender: str, tensors: int) -> None:
        """Open a worker, once."""
        self.open(contenders.cell(contender, contenders.parameters(10**6, tensors), UPDATES["Adam"], 1))

    def time_update(self, contender: str, tensors: int) -> None:
        """Seconds an update."""
        self.block()


class ClipOfGradients(timed.Timed):
    """A clip of a million gradients in a hundred tensors, which always binds."""

    phase = "clip"
    params = [contenders.EACH, list(CLIPS)]
    param_names = ["contender", "clip"]
    computes = tuple(CLIPS.values())

    def setup(self, contender: str, clip: str) -> None:
        """Open a worker, once."""
        recipe = Recipe(SGD(lr=0.01), CLIPS[clip])
        self.open(contenders.cell(contender, contenders.parameters(10**6, 100), recipe, 1))

    def time_clip(self, contender: str, clip: str) -> None:
        """Seconds a clip."""
        self.block()


class PenaltyOfWeights(timed.Timed):
    """A penalty's value and gradient on a million weights in a hundred tensors."""

    phase = "penalty"
    params = [contenders.EACH, list(PENALTIES)]
    param_names = ["contender", "penalty"]
    computes = tuple(PENALTIES.values())

    def setup(self, contender: str, penalty: str) -> None:
        """Open a worker, once."""
        recipe = Recipe(SGD(lr=0.01), penalty=PENALTIES[penalty])
        self.open(contenders.cell(contender, contenders.parameters(10**6, 100), recipe, 1))

    def time_penalty(self, contender: str, penalty: str) -> None:
        """Seconds a value and gradient."""
        self.block()
