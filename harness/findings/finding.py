"""What a diagnosis says: a finding, with its evidence beside what theory expects; and what could not be judged."""

import math
from typing import Literal, get_args

import msgspec

Kind = Literal[
    "vanishing",
    "exploding",
    "non_finite",
    "dead_units",
    "saturation",
    "frozen",
    "poor_initialisation",
    "step_too_large",
    "step_too_small",
    "clip_always_binds",
    "clip_never_binds",
    "lost_in_noise",
    "over_fitting",
    "identical_units",
    "penalty_dominates",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A note tells; a warning costs training something; a failure ends it, or a layer's part in it.
Severity = Literal["note", "warning", "failure"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class Evidence(msgspec.Struct, frozen=True):
    """One observed number beside what theory expects of it."""

    quantity: str  # with its unit, as a reader names it: "ln ‖∂L/∂relu3‖² before over after"
    observed: float
    expected: float  # NaN where theory knows none
    low: float  # the finding's threshold: observed below it …
    high: float  # … or above it; −∞ and ∞ where there is none on that side


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong, or worth knowing."""

    kind: Kind
    severity: Severity
    layer: str  # a layer's or a parameter's name; "" of the run as a whole
    step: int  # the first observed step at which it is so
    why: str  # a sentence
    evidence: tuple[Evidence, ...]
    confidence: float = math.nan  # the share of such alarms that were right (``harness.findings.confidence``), 0 … 1
    remedies: tuple[str, ...] = ()  # names in ``harness.findings.remedies``, the likeliest first

    @property
    def alarms(self) -> bool:
        """Whether it says that something is wrong."""
        return self.severity != "note"


class Unjudged(msgspec.Struct, frozen=True):
    """Kinds of findings that nothing observed could show, and why."""

    kind: Kind
    why: str


class Diagnosis(msgspec.Struct, frozen=True):
    """Of one run: what was found, the cause before its consequences, and what was not observed."""

    findings: tuple[Finding, ...]
    unjudged: tuple[Unjudged, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong, as far as was observed."""
        return not any(finding.alarms for finding in self.findings)
