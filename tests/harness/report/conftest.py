"""One small real run and its report for all tests here, and a browser that is driven over a pipe."""

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from harness import study as studies
from harness.execute.local import Local, Settings, pending
from harness.findings.finding import Diagnosis, Unjudged
from harness.measure.series import series, table
from harness.report import health_runs, write
from harness.spec.base import to_json
from harness.spec.job import Agreement, Convergence, FirstCall, Speed
from harness.store import Record, Store
from harness.study import Grid, Study

RATES = ("sgd[lr=[0.1,1e8]]", "adam[lr=0.001]")
CUBE, BOWL = "cube-2x2x2", "quadratic-100"
UPDATED = "random-gradients[parameters=[1e3,1e4],samples=1]"
BACKENDS = ("numpy", "torch")
STUDY = Study(
    "small",
    "a <small> run & its report",
    (
        Grid(Agreement(), (BOWL,), RATES[1:], backends=("reference", *BACKENDS), precisions=("float64",), steps=5),
        Grid(Agreement(ulp=True), (BOWL,), RATES[1:], backends=("reference",), precisions=("float64",), steps=5),
        Grid(
            Convergence(), (CUBE,), RATES, ("none", "global_norm"), backends=BACKENDS, seeds=2, epochs=2, batch=16,
            implementation="shipped",
        ),
        Grid(Convergence(), (BOWL,), RATES[1:], backends=BACKENDS, precisions=("float64",), steps=30),
        Grid(
            Speed(blocks=6, block_seconds=0.001, processes=2), (CUBE,), RATES[1:], backends=BACKENDS, batch=16,
            implementation="shipped",
        ),
        Grid(
            Speed(blocks=6, block_seconds=0.001, phase="update", processes=1), (UPDATED,), ("adam",),
            backends=("torch",), modes=("eager", "fused"), implementation="shipped",
        ),
    ),
)  # fmt: skip


def run_into(folder, study):
    """Run a study into a folder."""
    about = {"study": msgspec.json.decode(to_json(study))}
    with Store.create(folder, about) as store, Local(store, Settings(), lambda record: None) as local:
        local.run(pending(studies.select(study).jobs, store, retry=False))
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    pytest.importorskip("torch", reason="the sample run needs PyTorch")
    folder = run_into(tmp_path_factory.mktemp("runs") / "small", STUDY)
    found = [record for record in Store.open(folder).records() if isinstance(record.job.measure, Speed)]
    timed = next(r for r in found if r.job.cell.backend == "numpy" and r.job.cell.problem.spelling() == "network")
    with Store.create(folder, Store.open(folder).about()) as store:
        store.write(first_call(timed))
    return folder


def first_call(timed):
    """A first call, made up: a real one starts a process of its own and takes seconds."""
    phases = {"import": 0.5, "build": 0.1, "first_step": 0.4, "second_step": 0.1}
    rows = table([series(f"{name}_seconds", [seconds]) for name, seconds in phases.items()])
    return Record(replace(timed.job, measure=FirstCall()), "ok", "", timed.plan, timed.facts, rows)


@pytest.fixture(scope="session")
def report(small_run):
    """The folder that holds the report of the small run."""
    with contextlib.chdir(small_run.parent):
        write([Path(small_run.name)], Path("report"))
    return small_run.parent / "report"


UNJUDGED = (Unjudged("lost_in_noise", "needs gradients of two batch sizes"),)


@pytest.fixture
def diagnosed(tmp_path, monkeypatch):
    """Writes a report of some records with what is found in each; its folder."""

    def make(*pairs):
        said = {record.key: Diagnosis(tuple(findings), UNJUDGED) for record, findings in pairs}
        monkeypatch.setattr(health_runs, "diagnose", lambda record: said[record.key])
        with Store.create(tmp_path / "run", {"study": {"name": "made"}}) as store:
            store.write(*(record for record, _ in pairs))
        with contextlib.chdir(tmp_path):
            write([tmp_path / "run"], tmp_path / "report")
        return tmp_path / "report"

    return make


LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """Headless Chromium over --remote-debugging-pipe: JSON messages that end in a zero byte, on descriptors 3 and 4."""

    def __init__(self, program, profile):
        orders, self.out = os.pipe()
        self.answers, answers = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (orders, answers)]  # whatever they are, not 3 or 4
        flags = ["headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"]
        flags += ["disable-component-update", "disable-sync", "hide-scrollbars", "remote-debugging-pipe"]
        options = [*(f"--{flag}" for flag in flags), f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *map(str, ends), program, *options],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (orders, answers, *ends):
            os.close(end)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Ask, and wait for the answer; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self, seconds=30.0):
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            more = os.read(self.answers, 1 << 20)
            assert more, f"the browser ended with exit code {self.process.wait(timeout=10)}"
            self.buffer += more
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path, width, theme):
        """Open a file as a screen of that width shows it; the events since are in ``events``."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.events = []
        self.call("Page.navigate", url=Path(path).as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def run(self, script):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self):
        """End the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        self.process.wait(timeout=20)
        os.close(self.out)
        os.close(self.answers)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    driven = Browser(program, tmp_path_factory.mktemp("profile"))
    yield driven
    driven.close()
