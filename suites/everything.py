"""Every size, mode and optimizer, for as long as it takes: ``make bench-all``.

asv finds these classes where ``GRADGAUGE_BENCH`` is ``all`` only, so that plain ``asv run`` keeps to its time. Their
names are their own: a short run never replaces what a long one found.
"""

import os

from asv_runner.benchmarks.mark import SkipNotImplemented

from harness.errors import InvalidInput
from harness.spec.job import Memory
from harness.spec.optimizers import OPTIMIZERS
from harness.spec.recipe import Recipe
from suites import cold, contenders, meaning, speed, training


def asked(value: str) -> bool:
    """Whether everything is to be measured, as ``GRADGAUGE_BENCH`` asks for it."""
    if value not in ("", "all"):
        raise InvalidInput(f"GRADGAUGE_BENCH={value}: must be all, or not be set")
    return value == "all"


ALL = asked(os.environ.get("GRADGAUGE_BENCH", ""))
SIZES = [10**3, 10**4, 10**5, 10**6, 10**7]
ZOO = {kind.spelling(): Recipe(kind()) for kind in OPTIMIZERS}

if ALL:

    class EveryStep(speed.Step):
        """Every architecture at every batch size in every mode."""

        params = [contenders.MODES, list(contenders.ARCHITECTURES), speed.BATCHES]

    class EveryForward(speed.Forward):
        """Every architecture's loss in every mode."""

        params = [contenders.MODES, list(contenders.ARCHITECTURES)]

    class EveryGradient(speed.Gradient):
        """Every architecture's gradient in every mode."""

        params = [contenders.MODES, list(contenders.ARCHITECTURES)]

    class EveryUpdate(speed.Update):
        """The four optimizers over five sizes in every mode; a hundred million parameters where there is a GPU."""

        params = [contenders.MODES, list(speed.UPDATES), [*SIZES, 10**8]]

        def setup(self, contender: str, optimizer: str, parameters: int) -> None:
            """Open a worker, once."""
            if parameters > SIZES[-1] and contenders.DEVICE == "cpu":
                raise SkipNotImplemented(f"{parameters:,} parameters are for a GPU")
            super().setup(contender, optimizer, parameters)

    class EveryUpdateInPieces(EveryUpdate):
        """The same in a hundred tensors."""

        tensors = 100

    class EveryState(cold.Bytes):
        """The perceptron's memory under every optimizer."""

        params = [contenders.EACH, list(ZOO)]
        param_names = ["contender", "optimizer"]
        version = meaning.version((Memory(), contenders.architecture("MLP"), *ZOO.values()))

        def setup_cache(self) -> training.Figures:
            """One new process for each."""
            spelled = {recipe: name for name, recipe in ZOO.items()}
            grids = [cold.grid(Memory(), contender, ["MLP"], list(ZOO)) for contender in contenders.EACH]
            records = training.measured(
                grids, lambda record: (contenders.name(record.job.cell), spelled[record.job.cell.recipe])
            )
            return {which: cold.figures(group[0], self.names) for which, group in records.items()}

        setup_cache.timeout = 3600.0  # type: ignore[attr-defined]

    class Zoo(speed.Update):
        """Every optimizer at a million parameters."""

        params = [contenders.EACH, list(ZOO), [10**6]]
        recipes = ZOO
