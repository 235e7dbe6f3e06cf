"""Findings in words."""

import math

from harness.findings.finding import Evidence
from harness.report.words import number


def kind_words(kind: str) -> str:
    """A kind as it is read: step too large, not finite."""
    return kind.replace("_", " ").replace("non finite", "not finite")


def evidence_words(one: Evidence) -> str:
    """ln ‖∂L/∂y‖²: −12.3, expected −1.2, alarms below −4."""
    expected = f", expected {number(one.expected)}" if not math.isnan(one.expected) else ""
    bounds = []
    if math.isfinite(one.low):
        bounds.append(f"below {number(one.low)}")
    if math.isfinite(one.high):
        bounds.append(f"above {number(one.high)}")
    return f"{one.quantity}: {number(one.observed)}{expected}" + (f", alarms {' or '.join(bounds)}" if bounds else "")


def confidence_words(value: float) -> str:
    """Two decimals; what rounds to 1 is told to be less; nothing where it is not known."""
    return "" if math.isnan(value) else "> 0.99" if value > 0.995 else f"{value:.2f}"
