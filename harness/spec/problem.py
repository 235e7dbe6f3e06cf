"""What is minimised: a network on a data set, or an analytic function."""

from typing import Annotated, Literal

import msgspec

from harness.errors import InvalidInput, unknown
from harness.spec.base import Count, Fraction, Index, Piece, Positive, Spec, left_out
from harness.spec.initialisations import Initialisation, Orthogonal, Scaled
from harness.spec.layers import Layer
from harness.spec.losses import Loss

SEQUENCES = ("adding", "copy", "temporal_order")  # made of any length
AtLeast20 = Annotated[int, msgspec.Meta(ge=20)]
AtLeast10 = Annotated[int, msgspec.Meta(ge=10)]
MOST_STEPS = 20_000_000  # of all sequences together: half a gigabyte
DATA = ("digits", "breast_cancer", "wine", "iris", "diabetes", "cube", "regression", "line", *SEQUENCES)


class DataSet(Spec, frozen=True):
    """Named data or a file of one's own, split into training, validation and test parts by a fixed seed.

    ``test`` and ``validation`` are shares of the samples; ``training`` caps the number of training
    samples. ``scaling`` is fitted on the training part only and applied to all.

    With ``fold`` k of ``folds`` the validation part is the k-th of so many parts of all that is not the test part, for
    cross-validation; ``validation`` is not looked at.

    The made sequences, adding, copy and temporal_order, have ``length`` time steps (50 if left out), and there are
    ``samples`` of them (6000).

    ``name`` may be a path that ends in .csv or .npz. Of a CSV file with a line of column names, ``targets`` are
    columns, the last one if left out, and ``inputs`` columns, all the others if left out; of an archive, they are the
    names of one array each, y and x if left out.
    """

    name: str
    scaling: Literal["none", "standard", "min_max"] = "standard"
    validation: Fraction = 0.15
    test: Fraction = 0.2
    training: Annotated[Count | None, left_out("all that the other parts leave", 500)] = None
    split_seed: Index = 0
    fold: Annotated[Index | None, left_out("one validation part, no cross-validation", 0)] = None
    folds: Annotated[int, msgspec.Meta(ge=2)] = 5
    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    length: Annotated[AtLeast20 | None, left_out("50; only of adding, copy and temporal_order", 100)] = None
    samples: Annotated[AtLeast10 | None, left_out("6000; only of adding, copy and temporal_order", 1000)] = None

    @property
    def is_file(self) -> bool:
        """Whether this is a user's own file."""
        return self.name.endswith((".csv", ".npz"))

    def check(self) -> None:
        if not self.is_file and self.name not in DATA:
            raise unknown("data", self.name, (*DATA, "FILE.csv", "FILE.npz"))
        if not self.is_file and (self.inputs or self.targets):
            raise InvalidInput(f"data {self.name}: inputs and targets are named in a file of one's own only")
        if self.name not in SEQUENCES and (self.length is not None or self.samples is not None):
            raise InvalidInput(f"data {self.name}: length and samples belong to {', '.join(SEQUENCES)}")
        if (self.length or 50) * (self.samples or 6000) > MOST_STEPS:
            raise InvalidInput(f"data {self.name}: length × samples may be {MOST_STEPS:,} at most")
        if self.fold is not None and self.fold >= self.folds:
            raise InvalidInput(f"data {self.name}: fold {self.fold} of {self.folds}: the first is 0")
        if self.validation + self.test >= 1:
            raise InvalidInput(
                f"data {self.name}: validation {self.validation} + test {self.test} leave nothing to train on"
            )


class Network(Piece, frozen=True, tag="network"):
    """A network trained on data; ``recurrent_initialisation`` is that of the weights from state to state."""

    data: DataSet
    model: tuple[Layer, ...]
    loss: Loss
    initialisation: Initialisation = Scaled()
    recurrent_initialisation: Initialisation = Orthogonal()

    def check(self) -> None:
        if not self.model:
            raise InvalidInput("network.model is empty: give at least one layer")


class Rosenbrock(Piece, frozen=True, tag="rosenbrock"):
    """f(x) = (a − x₀)² + b(x₁ − x₀²)²; minimum 0 at (a, a²) (Rosenbrock 1960)."""

    start: tuple[float, float] = (-1.2, 1.0)
    a: float = 1.0
    b: Positive = 100.0


class Quadratic(Piece, frozen=True, tag="quadratic"):
    """f(x) = ½ xᵀAx, eigenvalues log-spaced from 1 to ``condition``; minimum 0 at 0.

    ``rotated`` turns A's eigenvectors away from the axes by a fixed random rotation, so that methods
    that scale each coordinate on its own gain nothing from the alignment. Starts at all ones.
    """

    condition: Annotated[float, msgspec.Meta(ge=1)] = 100.0
    dimension: Annotated[int, msgspec.Meta(ge=2)] = 10
    rotated: bool = False


class Beale(Piece, frozen=True, tag="beale"):
    """f(x) = Σᵢ (cᵢ − x₀(1 − x₁ⁱ))², c = (1.5, 2.25, 2.625), i = 1, 2, 3; minimum 0 at (3, ½) (Beale 1958)."""

    start: tuple[float, float] = (1.0, 1.0)


class NoisyQuadratic(Piece, frozen=True, tag="noisy_quadratic"):
    """f(x) = mean over the batch of ½ Σᵢ hᵢ(xᵢ − ξᵢ)², hᵢ = 1/i, ξᵢ ~ N(0, 1/hᵢ).

    So the gradient noise has covariance H, as in the noisy quadratic model of Zhang et al. 2019.
    The ``samples`` draws of ξ are made once and stand in for a training set; starts at all ones.
    """

    dimension: Annotated[int, msgspec.Meta(ge=1)] = 20
    samples: Count = 1024


class RandomGradients(Piece, frozen=True, tag="random_gradients"):
    """f(w; ξ) = ⟨w, ξ⟩: its gradient is ξ itself, whatever the parameters.

    The parameters are W of shape (6, 4) and b (5,); or, where ``parameters`` says how many there are, that many in
    ``tensors`` matrices of one shape, as square as the number allows. With batch 1 it feeds one shared sequence of
    gradients of size ``scale`` to an optimizer, which is how update rules are compared, and timed, apart from
    everything else. The parameters start at that scale too: next to weights of order 1, float32 would lose small
    steps.
    """

    scale: Positive = 1.0
    samples: Count = 64
    parameters: Annotated[Count | None, left_out("the 29 of W and b", 10**6)] = None
    tensors: Count = 1

    def check(self) -> None:
        if self.parameters is None and self.tensors != 1:
            raise InvalidInput("random_gradients.tensors: say how many parameters they hold together")
        if self.parameters is not None and self.parameters % self.tensors:
            raise InvalidInput(
                f"random_gradients: {self.parameters} parameters do not fill {self.tensors} tensors of one size"
            )


Function = Rosenbrock | Quadratic | Beale | NoisyQuadratic | RandomGradients
Problem = Network | Rosenbrock | Quadratic | Beale | NoisyQuadratic | RandomGradients
FUNCTIONS: tuple[type[Function], ...] = (Rosenbrock, Quadratic, Beale, NoisyQuadratic, RandomGradients)
