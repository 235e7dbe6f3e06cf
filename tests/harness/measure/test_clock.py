"""Clocks are checked on a made-up device that runs behind its host, with a clock of our own: no real second passes."""

import numpy as np
import pytest

from harness.backend import Work
from harness.judge import clock as judge
from harness.measure import clock

DISPATCH, PRODUCT, STEP = 1e-4, 5e-3, 1e-3  # seconds


class Device:
    """Does what it is handed in order; its host goes on at once, unless it fences."""

    def __init__(self):
        self.now = self.free = 0.0

    def begin(self, seconds):
        self.now += DISPATCH
        self.free = max(self.free, self.now) + seconds

    def fence(self, _=None):
        self.now = max(self.now, self.free)


class Backend:
    """A framework on that device; ``waits`` says whether products return when done, ``fenced`` which phases do."""

    def __init__(self, device, waits=False, fenced=clock.PHASES, constant=False):
        self.device, self.waits, self.fenced, self.constant = device, waits, fenced, constant

    def work(self, device, size):
        def start(products):
            self.device.begin(products * PRODUCT)
            if self.waits:
                self.device.fence()

        return Work(start, self.device.fence)

    def trainer(self, *arguments, **named):
        return self

    def train(self, rows):
        self.phase("step", rows)()

    def phase(self, name, rows):
        def go():
            self.device.begin(STEP * (1 if self.constant else len(rows)))
            if name in self.fenced:
                self.device.fence()

        return go


@pytest.fixture
def device(monkeypatch):
    made = Device()
    monkeypatch.setattr(clock.time, "perf_counter", lambda: made.now)
    return made


def findings(backend):
    seconds = {s.name: np.frombuffer(s.value).tolist() for s in clock.measure(backend, "cpu")}
    return judge.of_backend("made-up", "cpu", seconds)


def test_a_framework_that_returns_when_it_is_done_is_trusted(device):
    without, ours = findings(Backend(device, waits=True))
    assert without.says == "returns when done"
    assert ours.trust == "trusted"


def test_one_that_returns_early_is_told_and_trusted_where_every_phase_is_fenced(device):
    without, ours = findings(Backend(device))
    assert without.says.startswith("returns early: without a fence it would have said 0.2% of the time")
    assert ours.trust == "trusted"


@pytest.mark.parametrize("phase", clock.PHASES)
def test_a_phase_without_a_fence_is_caught(device, phase):
    _, ours = findings(Backend(device, fenced=set(clock.PHASES) - {phase}))
    assert ours.trust == "not trusted"
    if phase != "step":  # the step's own time is then that of its dispatch, and doubling it shows nothing
        assert f"stops before {phase} is done" in ours.says


def test_a_clock_that_shows_the_same_however_long_the_work_is_caught(device):
    _, ours = findings(Backend(device, constant=True))
    assert (ours.trust, ours.says) == ("not trusted", "twice the work does not take twice as long")


def test_disturbances_make_no_liar_of_an_honest_clock(device):
    seconds = {s.name: np.frombuffer(s.value).tolist() for s in clock.measure(Backend(device), "cpu")}
    disturbed = {what: [*values[:1], *(1.7 * value for value in values[1:])] for what, values in seconds.items()}
    disturbed["twice"], disturbed["idle"] = seconds["twice"], seconds["idle"]
    assert judge.of_backend("made-up", "cpu", disturbed)[1].trust == "trusted"
