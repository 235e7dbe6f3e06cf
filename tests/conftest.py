"""The backend whose tests run: one a process, since two frameworks in one process disturb each other."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", default="numpy", help="the backend that tests/backends is about")
    parser.addoption("--whole", action="store_true", help="every problem of the catalogue where a few stand for it")
    parser.addoption("--device", default="cpu", help="where that backend computes in what it is compared by")
