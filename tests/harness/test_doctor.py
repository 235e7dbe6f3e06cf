"""The doctor's clocks: what a backend's worker answers, and what the command line makes of it."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from harness import cli, doctor, registry
from harness.frames import Reply
from harness.judge.clock import Finding
from harness.measure.clock import PHASES
from harness.measure.series import series
from tests import faulty

GOOD, BAD = Finding("sleep", "50 ms", "trusted", "fine"), Finding("sleep", "40 ms", "not trusted", "the clock is slow")


@pytest.fixture
def machine(monkeypatch):
    """No seconds are spent on this machine's own clock."""
    monkeypatch.setattr(doctor.clock, "examine", lambda: None)
    monkeypatch.setattr(doctor.judge, "of_machine", lambda examined: [GOOD])


def declare(monkeypatch, *declarations):
    """Only these backends exist."""
    found = {f"tests.faulty:{d.name.upper()}": replace(d, timed=True) for d in declarations}
    monkeypatch.setattr(doctor.registry, "declared", lambda: found)


def test_a_backend_that_is_missing_is_left_out_with_the_line_that_installs_it(machine, monkeypatch):
    declare(monkeypatch, faulty.MISSING)
    _, missing, verdict = doctor.clocks(1, {})
    assert missing.trust == "left out" and "pip install 'gradgauge[nobody]'" in missing.says
    assert verdict.trust == "trusted"


def test_a_backend_that_cannot_open_is_not_trusted_and_says_why(machine, monkeypatch):
    declare(monkeypatch, faulty.UNOPENABLE)
    _, broken, verdict = doctor.clocks(1, {})
    assert broken.trust == verdict.trust == "not trusted"
    assert "libfancy.so" in broken.says


def test_every_device_that_is_there_is_asked_and_one_that_is_not_is_left_out(machine, monkeypatch):
    asked = []

    class Worker:
        def __init__(self, *arguments):
            pass

        def ask(self, request, limit):
            asked.append((request.do, request.device))
            if request.device == "cuda":
                return Reply("unsupported", "no GPU")
            seconds = {"idle": 1.0, "unfenced": 0.1, "fenced": 10.0, "twice": 20.0}
            seconds |= {phase: 10.0 for phase in PHASES} | {f"{phase} left": 1.0 for phase in PHASES}
            return Reply("ok", series=[series(name, [value]) for name, value in seconds.items()])

        def close(self):
            pass

    torch = replace(registry.find("torch"), requires=())
    monkeypatch.setattr(doctor, "Process", Worker)
    monkeypatch.setattr(doctor.environment, "ask", lambda python, name: doctor.environment.describe(torch))
    monkeypatch.setattr(doctor.registry, "declared", lambda: {"torch": torch})
    found = doctor.clocks(1, {})
    assert asked == [("clock", "cpu"), ("clock", "cuda")]
    assert [f.about for f in found] == ["sleep", "torch cpu: without a fence", "torch cpu: our clock", "verdict"]
    assert found[1].says == "returns early: without a fence it would have said 1.0% of the time"


@pytest.mark.parametrize(("finding", "code"), [(GOOD, 0), (BAD, cli.DIFFERENT)], ids=["trusted", "not trusted"])
def test_the_exit_code_says_whether_timings_can_be_trusted(finding, code, monkeypatch):
    verdict = finding._replace(about="verdict")
    monkeypatch.setattr(doctor, "clocks", lambda threads, pythons: [finding, verdict])
    done = CliRunner().invoke(cli.app, ["doctor", "--clock", "--format", "json"])
    assert done.exit_code == code
    assert json.loads(done.output)["clock"][-1] == verdict._asdict()
