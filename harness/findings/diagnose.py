"""All that is judged of one observed run."""

from harness.findings.finding import Diagnosis
from harness.findings.seen import Seen
from harness.store import Record


def diagnose(record: Record) -> Diagnosis:
    """The findings of one record of a ``Health`` measurement."""
    Seen(record)
    return Diagnosis((), ())
