"""Same maths, as a user of ``gradgauge agree`` sees it: some optimizers in all their variants among all other pieces.

Every backend's own tests (``tests/backends/conformance``) go over the whole vocabulary.
"""

import json
import subprocess
import sys

import pytest

from harness import registry
from harness.judge.differences import reviewed


@pytest.fixture(scope="module")
def agreed(tmp_path_factory):
    out = tmp_path_factory.mktemp("agree")
    words = [
        "agree",
        "--optimizer",
        "nesterov,adam,adafactor,muon,lbfgs",
        "--format",
        "json",
        "--out",
        str(out / "run"),
    ]
    command = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_every_backend_is_equal_to_the_reference(agreed):
    assert agreed.returncode == 0, agreed.stderr
    rows = json.loads(agreed.stdout)["agreement"]
    assert {row["verdict"] for row in rows} == {"equal"}


def test_every_installed_backend_was_compared_in_both_precisions(agreed):
    rows = json.loads(agreed.stdout)["agreement"]
    here = {name for name, declared in registry.declared().items() if not registry.missing(declared)} - {"reference"}
    kinds = (("float64", "parameters"), ("float32", "parameters"))
    assert {(r["backend"], r["precision"], r["what"]) for r in rows} == {(b, *kind) for b in here for kind in kinds}
    assert all(int(row["compared"]) >= (50 if row["precision"] == "float64" else 4) for row in rows)


def test_no_difference_had_to_be_explained_away():
    assert not [entry for entry in reviewed() if entry.implementation == "exact"]
