"""From a worker's reply to the record of a job."""

from harness.backend import Origin
from harness.frames import Reply
from harness.measure.series import table
from harness.spec.job import Job
from harness.store import Record


def record(job: Job, reply: Reply) -> Record:
    """What became of a job."""
    plan = {piece: Origin(*origin) for piece, origin in reply.plan.items()}  # type: ignore[arg-type]  # as sent
    return Record(job, reply.status, reply.reason, plan, reply.facts, table(reply.series))
