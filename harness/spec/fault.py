"""Faults that are planted into a run, to see whether they are found: a change before one step, and nothing else."""

from typing import Literal

from harness.spec.base import Index, Piece, Positive

Value = float | Literal["nan", "inf"]


class Scale(Piece, frozen=True, tag="scale"):
    """The parameter times ``factor``."""

    step: Index
    parameter: str
    factor: float


class Shift(Piece, frozen=True, tag="shift"):
    """The parameter plus ``by``, of the first ``units`` of its last axis (of all, where 0)."""

    step: Index
    parameter: str
    by: float
    units: Index = 0


class Put(Piece, frozen=True, tag="put"):
    """One number of the parameter becomes ``value``: that at ``index``, in row-major order."""

    step: Index
    parameter: str
    value: Value
    index: Index = 0


class Tie(Piece, frozen=True, tag="tie"):
    """Every unit of the parameter, along its last axis, becomes as the first; or every input, along the one before."""

    step: Index
    parameter: str
    along: Literal["units", "inputs"] = "units"


class Rate(Piece, frozen=True, tag="rate"):
    """From the step on, η is ``factor`` times what the schedule gives."""

    step: Index
    factor: Positive


OfParameter = Scale | Shift | Put | Tie
Fault = OfParameter | Rate
