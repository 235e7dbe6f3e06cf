"""What only a new process can tell: seconds of the first call, with nothing compiled before, and bytes of memory."""

from collections.abc import Sequence

from harness.spec.job import FirstCall, Memory
from harness.store import Record
from harness.study import Grid
from suites import contenders, meaning, training

FIRST = FirstCall(processes=3)
ADAM = "adam[lr=0.001]"
COMPILED = [*contenders.EACH, "torch compile", "tensorflow xla"]


def grid(
    what: FirstCall | Memory, contender: str, architectures: Sequence[str], optimizers: Sequence[str] = (ADAM,)
) -> Grid:
    """Optimizers alone on architectures, as shipped: not the catalogue's recipes, some of which cannot be compiled."""
    backend, _, mode = contender.partition(" ")
    return Grid(
        what,
        tuple(contenders.ARCHITECTURES[name] for name in architectures),
        tuple(optimizers),
        clips=("none",),
        penalties=("none",),
        schedules=("constant",),
        backends=(backend,),
        devices=(contenders.DEVICE,),
        modes=(mode,),
        implementation="shipped",
        steps=100,
        batch=32,
    )


def named(record: Record) -> tuple[str, ...]:
    """Contender and architecture of a record."""
    problems = {contenders.architecture(name): name for name in contenders.ARCHITECTURES}
    return contenders.name(record.job.cell), problems[record.job.cell.problem]


def figures(record: Record, names: tuple[str, ...]) -> dict[str, training.Figure]:
    """The median over a record's processes of each of its series, or why it has none."""
    if record.status != "ok":
        return dict.fromkeys(names, training.silence(record))
    return {
        str(name): float(value)
        for name, value in record.table.groupby("series", observed=True)["value"].median().items()
    }


class First:
    """The first call in a new process: import, build, trace and compile; the median over three processes."""

    params = [COMPILED, ["MLP", "LSTM"]]
    param_names = ["contender", "architecture"]
    version = meaning.version((FIRST, *contenders.NETWORKS))
    timeout = 60.0
    names = ("import_seconds", "build_seconds", "first_step_seconds", "second_step_seconds")

    def setup_cache(self) -> training.Figures:
        """Three new processes for each."""
        grids = [grid(FIRST, contender, self.params[1]) for contender in COMPILED]
        records = training.measured(grids, named)
        return {parameters: figures(group[0], self.names) for parameters, group in records.items()}

    setup_cache.timeout = 1800.0  # type: ignore[attr-defined]

    def track_import(self, figures: training.Figures, contender: str, architecture: str) -> float:
        """Seconds to import the framework."""
        return training.figure(figures, "import_seconds", contender, architecture)

    def track_first_step(self, figures: training.Figures, contender: str, architecture: str) -> float:
        """Seconds of the first step: tracing and compiling are in it."""
        return training.figure(figures, "first_step_seconds", contender, architecture)

    def track_build(self, figures: training.Figures, contender: str, architecture: str) -> float:
        """Seconds to build model and optimizer."""
        return training.figure(figures, "build_seconds", contender, architecture)

    track_import.unit = track_first_step.unit = track_build.unit = "seconds"  # type: ignore[attr-defined]


class Bytes:
    """Memory of twenty steps in a new process."""

    params = [contenders.EACH, list(contenders.ARCHITECTURES)]
    param_names = ["contender", "architecture"]
    version = meaning.version((Memory(), *contenders.NETWORKS))
    timeout = 60.0
    names = ("host_bytes", "device_bytes", "state_bytes", "parameters")

    def setup_cache(self) -> training.Figures:
        """One new process for each."""
        grids = [grid(Memory(), contender, list(contenders.ARCHITECTURES)) for contender in contenders.EACH]
        records = training.measured(grids, named)
        return {parameters: figures(group[0], self.names) for parameters, group in records.items()}

    setup_cache.timeout = 1800.0  # type: ignore[attr-defined]

    def track_peak_host_bytes(self, figures: training.Figures, contender: str, architecture: str) -> float:
        """The peak of the resident set above what it was with framework imported and data loaded."""
        return training.figure(figures, "host_bytes", contender, architecture)

    def track_peak_device_bytes(self, figures: training.Figures, contender: str, architecture: str) -> float:
        """The peak on the device, where it has memory of its own."""
        return training.figure(
            {p: NO_DEVICE | dict(f) for p, f in figures.items()}, "device_bytes", contender, architecture
        )

    def track_state_bytes_per_parameter(self, figures: training.Figures, contender: str, architecture: str) -> float:
        """What the optimizer keeps from step to step: Adam, where no other is named."""
        kept = training.figure(figures, "state_bytes", contender, architecture)
        return kept / training.figure(figures, "parameters", contender, architecture)

    track_peak_host_bytes.unit = track_peak_device_bytes.unit = "bytes"  # type: ignore[attr-defined]
    track_state_bytes_per_parameter.unit = "bytes"  # type: ignore[attr-defined]


NO_DEVICE: dict[str, training.Figure] = {"device_bytes": "the CPU's memory is the host's"}
