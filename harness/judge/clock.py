"""Whether this machine's timings can be trusted: findings, each with what was measured and what follows."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from harness.clock import Machine, Noise, Sleeps
from harness.judge import power
from harness.measure.clock import PHASES
from harness.measure.speed import WARMING
from harness.spec.job import Speed

Trust = Literal["left out", "trusted", "with care", "not trusted"]
ORDER: tuple[Trust, ...] = ("left out", "trusted", "with care", "not trusted")

# A clock that is adjusted may run off by 500 parts in a million (adjtimex, NTP): twice that is another clock.
DRIFT = 1e-3
LATE = 0.1  # of a sleep: woken so late, a process waits for others
COARSE = 1e-3  # of a block: steps of the clock that could be seen in a ratio
CARE, LIE = 0.1, 0.25  # of a phase's time that was still to be done when the clock stopped
DOUBLE = (1.4, 3.0)  # times as long for twice as many steps: the room is for caches and noise, 1 would be a lie
STOLEN, BUSY = 0.01, 0.1  # of all cores
PATIENCE = 10.0  # seconds that the blocks of a comparison may take
ASYNCHRONOUS = 0.5  # of the fenced time: a clock without a fence sees less than that


class Finding(NamedTuple):
    """One thing that was checked."""

    about: str
    measured: str
    trust: Trust
    says: str


def of_machine(machine: Machine) -> list[Finding]:
    """The clock's steps, its pace, and the noise."""
    block = Speed().block_seconds
    coarse = machine.step > COARSE * block
    return [
        Finding(
            "resolution",
            f"{machine.step * 1e9:.0f} ns",
            "with care" if coarse else "trusted",
            f"a block of {block * 1e3:g} ms is {block / machine.step:.0f} steps of the clock",
        ),
        _pace(machine.sleeps),
        _others(machine),
        _noise(machine.noise),
    ]


def _pace(sleeps: Sleeps) -> Finding:
    """A sleep is at least as long as was asked, and as long by every clock."""
    shortest, median = min(sleeps.measured), float(np.median(sleeps.measured))
    measured = f"{sleeps.asked * 1e3:g} ms were {median * 1e3:.2f} ms, {len(sleeps.measured)} times"
    off = max((abs(a / b - 1) for a, b in zip(sleeps.measured, sleeps.raw, strict=False)), default=0.0)
    if shortest < sleeps.asked * (1 - DRIFT):
        return Finding("sleep", measured, "not trusted", f"the clock is slow: a sleep took {shortest * 1e3:.2f} ms")
    if off > DRIFT:
        return Finding("sleep", measured, "not trusted", f"the kernel's raw clock differs by {off:.1%}")
    if median > sleeps.asked * (1 + LATE):
        return Finding("sleep", measured, "with care", "the processor is given back late: others use it")
    beside = "the kernel's raw clock agrees" if sleeps.raw else "there is no raw clock to compare with"
    return Finding("sleep", measured, "trusted", beside)


def _others(machine: Machine) -> Finding:
    """Who else computes here, and whether the pace of the processor is fixed."""
    stolen = max(machine.sleeps.stolen, machine.noise.stolen)
    busy = machine.sleeps.busy
    measured = f"{busy:.0%} busy while this slept, {stolen:.1%} stolen, load {machine.load:.1f}"
    troubles = []
    if busy > BUSY:
        troubles.append("others compute on this machine: stop them")
    if stolen > STOLEN:
        troubles.append("the host gives its processor to others: ratios only, measured in turn")
    if machine.governor not in ("", "performance"):
        troubles.append(f"the frequency follows the load (governor {machine.governor}): set it to performance")
    known = "" if machine.governor else "; the frequency's governor cannot be read"
    says = "; ".join(troubles) if troubles else f"nobody else computes here{known}"
    return Finding("others", measured, "with care" if troubles else "trusted", says)


def _noise(noise: Noise) -> Finding:
    """How much equal blocks differ, and how many of them show a difference of 5 %."""
    block = Speed().block_seconds
    ratios = np.array(noise.first) / np.array(noise.second)
    every = np.array([noise.first, noise.second]).T.ravel()
    half = len(every) // 2
    drift = float(np.median(every[half:]) / np.median(every[:half])) - 1
    needed = power.blocks_needed(power.spread(ratios))
    seconds = 2 * needed * block * (1 + 1 / WARMING)
    measured = (
        f"blocks vary by {every.std() / every.mean():.1%}, ratios of neighbours by {power.spread(ratios):.1%}; "
        f"second half {drift:+.1%}"
    )
    takes = f"{seconds:.1f} s with warming up, without starting processes"
    says = f"{power.DIFFERENCE:.0%} shows in {needed} blocks a side: {takes} ({power.POWER:.0%} of the time)"
    return Finding("noise", measured, "with care" if seconds > PATIENCE else "trusted", says)


def of_backend(name: str, device: str, seconds: Mapping[str, Sequence[float]]) -> list[Finding]:
    """What a clock without a fence would have said, and whether ours sees all of each phase.

    Of repeated seconds the least: a disturbance only adds to them, and what a clock misses it misses every time.
    """
    least = {what: min(values) for what, values in seconds.items()}
    where = f"{name} {device}"
    share = least["unfenced"] / least["fenced"]
    unfenced = f"unfenced {least['unfenced'] * 1e3:.2f} ms, fenced {least['fenced'] * 1e3:.2f} ms"
    lies = share < ASYNCHRONOUS
    says = f"returns early: without a fence it would have said {share:.1%} of the time" if lies else "returns when done"
    missed = {phase: max(0.0, least[f"{phase} left"] - least["idle"]) / least[phase] for phase in PHASES}
    worst = max(missed, key=lambda phase: missed[phase])
    twice = least["twice"] / least["step"]
    left = f"{missed[worst]:.1%} of {worst} left; twice the steps take {twice:.2f} times as long"
    trust: Trust = "trusted"
    conclusion = "our clock sees all of every phase"
    if not DOUBLE[0] <= twice <= DOUBLE[1]:
        trust, conclusion = "not trusted", "twice the work does not take twice as long"
    elif missed[worst] > LIE:
        trust, conclusion = "not trusted", f"our clock stops before {worst} is done"
    elif missed[worst] > CARE:
        trust, conclusion = "with care", f"something goes on after {worst}: measure again on a quiet machine"
    return [
        Finding(f"{where}: without a fence", unfenced, "trusted", says),
        Finding(f"{where}: our clock", left, trust, conclusion),
    ]


def verdict(findings: Sequence[Finding]) -> Finding:
    """The worst of all."""
    worst = max((finding.trust for finding in findings), key=ORDER.index)
    reasons = [finding.about for finding in findings if finding.trust == worst]
    says = "this machine's timings can be trusted" if worst == "trusted" else f"because of: {', '.join(reasons)}"
    if worst == "not trusted" and any(one.about == "others" and one.trust != "trusted" for one in findings):
        says += ". Others compute here, which can look like a clock that lies: stop them and look again"
    return Finding("verdict", "", worst, says)
