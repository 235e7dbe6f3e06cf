"""What is not known of what two of asv's results were measured with."""

from collections.abc import Iterable, Mapping

from harness.judge.kinds import Key

Told = Mapping[str, object]  # by backend


def untold(a: Iterable[Key], b: Iterable[Key], told_by_a: Told, told_by_b: Told) -> tuple[str, str]:
    """The backends, measured on both sides, of which only b tells, and of which only a does; in words, empty for none.

    A contender's backend is the first word of its name.
    """
    both = {key.who.partition(" ")[0] for key in set(a) & set(b)}
    return _beyond(both, told_by_b, told_by_a), _beyond(both, told_by_a, told_by_b)


def _beyond(names: Iterable[str], told: Told, other: Told) -> str:
    return ", ".join(sorted(name for name in names if name in told and name not in other))
