"""The errors that a user sees: each names the request, what would be valid, and the way on."""

import difflib
from collections.abc import Iterable


class GradgaugeError(Exception):
    """Root of every error that gradgauge raises on purpose."""


class InvalidInput(GradgaugeError, ValueError):
    """The user asked for something that does not exist or makes no sense (exit code 2)."""


class Unsupported(GradgaugeError):
    """A backend cannot run this cell; the message is the reason that the record keeps."""


class WorkerFailed(GradgaugeError):
    """A worker process crashed, answered nonsense or ran past its limit."""


class NothingMeasured(GradgaugeError):
    """There is nothing to report on (exit code 3)."""


def unknown(kind: str, asked: str, allowed: Iterable[str]) -> InvalidInput:
    """The error for a name that does not exist, naming the nearest valid ones.

    >>> str(unknown("clip", "globl_norm", ["none", "global_norm"]))
    "unknown clip 'globl_norm': did you mean 'global_norm'? Allowed: none, global_norm"
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(asked, allowed, n=3, cutoff=0.5)
    hint = f": did you mean {' or '.join(repr(n) for n in near)}?" if near else "."
    return InvalidInput(f"unknown {kind} {asked!r}{hint} Allowed: {', '.join(allowed)}")
