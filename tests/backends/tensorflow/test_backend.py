"""The declaration, and what an opened TensorFlow says of itself."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from backends.tensorflow import BACKEND
from harness.spec.cell import Budget
from harness.spec.optimizers import SGD
from harness.spec.problem import RandomGradients
from harness.spec.recipe import Recipe


def test_the_declaration_imports_no_framework():
    code = "import sys, backends.tensorflow; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_threads_are_in_the_environment():
    environment = BACKEND.environment(3)
    assert environment["TF_NUM_INTRAOP_THREADS"] == environment["TF_NUM_INTEROP_THREADS"] == "3"


def test_versions_are_those_installed(backend):
    assert backend.versions() == {name: version(name) for name in BACKEND.requires}


def test_a_second_opening_must_ask_for_the_same_threads(backend, run):
    run(RandomGradients(), Recipe(SGD()), Budget(steps=1, batch=1))  # starts the runtime
    assert BACKEND.open(threads=1).facts()["threads"] == "1"
    with pytest.raises(RuntimeError, match="cannot be modified"):
        BACKEND.open(threads=2)
