"""Backends that fail on purpose, each in its own way, for the tests of execution. They compute like the reference."""

import ctypes
import time
from dataclasses import replace

from backends.reference import BACKEND as REFERENCE
from backends.reference.backend import ReferenceBackend
from harness.errors import Unsupported


class Crashing(ReferenceBackend):
    def trainer(self, *arguments):
        print("about to read address zero", flush=True)  # a library that prints must break nothing
        ctypes.string_at(0)


class Hanging(ReferenceBackend):
    def trainer(self, *arguments):
        time.sleep(3600)


class Refusing(ReferenceBackend):
    def plan(self, cell, parameters):
        raise Unsupported("this framework has no such layer")


class Raising(ReferenceBackend):
    def trainer(self, *arguments):
        raise ZeroDivisionError("a bug in a framework")


class Unopenable(ReferenceBackend):
    def __init__(self, threads):
        raise ImportError("libfancy.so: cannot open shared object file")


class Lying(ReferenceBackend):
    """Off by one part in a million after training."""

    def trainer(self, *arguments):
        trainer = super().trainer(*arguments)
        parameters = trainer.parameters
        trainer.parameters = lambda: {name: values * (1 + 1e-6) for name, values in parameters().items()}
        return trainer


def _declare(kind):
    return replace(REFERENCE, name=kind.__name__.lower(), opens=f"tests.faulty:{kind.__name__}")


CRASHING, HANGING, REFUSING, RAISING = (_declare(k) for k in (Crashing, Hanging, Refusing, Raising))
UNOPENABLE, LYING = _declare(Unopenable), _declare(Lying)
MISSING = replace(REFERENCE, name="missing", requires=("a-framework-nobody-has",), extra="nobody")
