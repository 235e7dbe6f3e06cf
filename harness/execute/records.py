"""From a worker's reply to the record of a job."""

from harness import environment
from harness.backend import Origin
from harness.frames import Reply
from harness.measure.series import table
from harness.spec.job import Job
from harness.store import Record


def record(job: Job, reply: Reply) -> Record:
    """What became of a job; among its facts the host that it ran on, which is no part of the job's key."""
    plan = {piece: Origin(*origin) for piece, origin in reply.plan.items()}  # type: ignore[arg-type]  # as sent
    facts = {**reply.facts, **({"host": host} if (host := environment.host()) else {})}
    return Record(job, reply.status, reply.reason, plan, facts, table(reply.series))
