"""Health over commits: how much is found in networks that fail and in their remedies, and what comes back through them.

Some of these are here to fail: there fewer findings are a changed verdict, not a better network.
"""

import itertools
import math

import numpy as np

from harness.errors import GradgaugeError
from harness.spec.job import LEVELS, Health
from harness.store import Record
from harness.study import Grid, find_case
from suites import contenders, meaning, observation, training

OBSERVED = Health(every=5, window=4)
TURNS = 8  # of what it costs
# Name → case, trained with its own recipe and budget.
PROBLEMS = {
    "digits": "digits-64-64-64-10",
    "sigmoids": "deep-sigmoid",
    "sigmoids, batch norms": "deep-sigmoid-batch-norm",
    "ReLUs, large weights": "deep-relu-bad-init",
    "ReLUs, He's weights": "deep-relu-bad-init-he",
    "RNN": "rnn-long",
    "RNN, orthogonal": "rnn-long-orthogonal",
}
CASES = {name: find_case(case) for name, case in PROBLEMS.items()}
FIGURES = ("alarms", "unjudged", "depth", "worst depth", "off theory")


def grid(problem: str, contender: str) -> Grid:
    """A problem by its name, observed by one contender; exact, so that all see the same."""
    backend, _, mode = contender.partition(" ")
    return Grid(OBSERVED, (PROBLEMS[problem],), backends=(backend,), devices=(contenders.DEVICE,), modes=(mode,))


def figures(record: Record) -> dict[str, training.Figure]:
    """What one observed run gives; a reason where there is no number."""
    from harness.findings.diagnose import diagnose  # not for the processes that read tracks
    from harness.findings.seen import Seen

    if record.status not in ("ok", "diverged"):
        return dict.fromkeys(FIGURES, training.silence(record))
    diagnosis, seen = diagnose(record), Seen(record)
    found: dict[str, training.Figure] = {
        "alarms": float(sum(finding.alarms for finding in diagnosis.findings)),
        "unjudged": float(len({one.kind for one in diagnosis.unjudged})),
    }
    first, last = ends(record)
    with np.errstate(all="ignore"):
        decades = np.log10(seen.track("signal_norm", first).values / seen.track("signal_norm", last).values)
    known = decades[np.isfinite(decades)]
    if not known.size:
        return found | dict.fromkeys(FIGURES[2:], "the first or last layer has no signal")
    found |= {"depth": float(abs(known[0])), "worst depth": float(np.abs(known).max())}
    assert seen.expected is not None
    theory = [seen.expected.layers[name].gradient for name in (first, last)]
    expected = math.log10(theory[0] / theory[1]) / 2 if min(theory) > 0 else math.nan
    off = float(abs(decades[0] - expected))
    return found | {"off theory": off if math.isfinite(off) else "theory does not know one of the two layers"}


def ends(record: Record) -> tuple[str, str]:
    """The first and the last layer that a signal comes back to."""
    names = list(dict.fromkeys(record.series("signal_norm")["tensor"]))
    return str(names[0]), str(names[-1])


def named(record: Record) -> tuple[str, ...]:
    """Contender and problem of a record: clips, where they are the remedy, are not among these."""
    names = {case.problem: name for name, case in CASES.items()}
    return contenders.name(record.job.cell), names[record.job.cell.problem]


class Observed:
    """Training, observed every fifth step."""

    params = [contenders.EACH, list(PROBLEMS)]
    param_names = ["contender", "problem"]
    version = meaning.version((OBSERVED, *CASES.values()))
    timeout = 60.0

    def setup_cache(self) -> training.Figures:
        """Train every problem in every framework, and judge what was observed."""
        grids = [grid(problem, contender) for problem in PROBLEMS for contender in contenders.EACH]
        return {parameters: figures(group[0]) for parameters, group in training.measured(grids, named).items()}

    setup_cache.timeout = 1800.0  # type: ignore[attr-defined]

    def track_alarms(self, figures: training.Figures, contender: str, problem: str) -> float:
        """How many findings say that something is wrong."""
        return training.figure(figures, "alarms", contender, problem)

    def track_unjudged(self, figures: training.Figures, contender: str, problem: str) -> float:
        """How many kinds of findings could not be judged, for want of what they need."""
        return training.figure(figures, "unjudged", contender, problem)

    def track_depth(self, figures: training.Figures, contender: str, problem: str) -> float:
        """|log10| of the first layer's ‖∂L/∂y‖ over the last one's, at the start."""
        return training.figure(figures, "depth", contender, problem)

    def track_worst_depth(self, figures: training.Figures, contender: str, problem: str) -> float:
        """The largest of it over training."""
        return training.figure(figures, "worst depth", contender, problem)

    def track_off_theory(self, figures: training.Figures, contender: str, problem: str) -> float:
        """How far the depth at the start is from what theory expects of it."""
        return training.figure(figures, "off theory", contender, problem)

    track_alarms.unit = track_unjudged.unit = "findings"  # type: ignore[attr-defined]
    track_depth.unit = track_worst_depth.unit = track_off_theory.unit = "decades"  # type: ignore[attr-defined]


class Looking:
    """What it costs to look, every step, every tenth or every hundredth: ``suites.observation``, in fewer turns."""

    params = [contenders.EACH, list(observation.PROBLEMS), list(LEVELS)]
    param_names = ["contender", "problem", "level"]
    version = meaning.version((*observation.PROBLEMS.values(), *observation.OBSERVED.values(), observation.RECIPE))
    timeout = 60.0

    def setup_cache(self) -> training.Figures:
        """Time each framework on each problem in a process of its own, plain steps and every level in turn."""
        return {
            (contender, problem, level): {"cost": figure}
            for contender, problem in itertools.product(contenders.EACH, observation.PROBLEMS)
            if contenders.missing(backend := contender.partition(" ")[0]) is None
            for level, figure in costs(backend, problem).items()
        }

    setup_cache.timeout = 1800.0  # type: ignore[attr-defined]

    def track_cost(self, figures: training.Figures, contender: str, problem: str, level: str) -> float:
        """Time of observed training over that of plain training."""
        return training.figure(figures, "cost", contender, problem, level)

    track_cost.unit = "seconds per second of plain training"  # type: ignore[attr-defined]


def costs(backend: str, problem: str) -> dict[str, training.Figure]:
    """By level, the median ratio; why there is none, where it broke."""
    try:
        found = observation.apart(backend, problem, contenders.THREADS, TURNS)
    except GradgaugeError as error:
        return dict.fromkeys(LEVELS, training.Failure(str(error)))
    return {level: float(np.median(found[level])) for level in LEVELS}
