"""The labelled pairs: drawn the same each time, apart, of every kind and family; and the arithmetic of their table."""

from collections import Counter

import pytest

from harness.findings.finding import Kind
from harness.measure.faults import refuse_misplaced
from harness.problems import task as tasks
from harness.spec.base import key
from suites import detection
from suites.detection import Alarm, Verdict, score
from suites.labelled.pairs import pairs
from suites.labelled.planted import Label

# Not planted: one is a note, the other needs batches that have nothing in common.
NEVER: set[Kind] = {"clip_never_binds", "lost_in_noise"}


@pytest.fixture(scope="module")
def drawn():
    return {part: list(pairs(part)) for part in ("tuning", "unseen")}


def test_the_same_each_time_and_none_twice(drawn):
    again = [key(pair.healthy.cell) for pair in pairs("tuning")]
    assert again == [key(pair.healthy.cell) for pair in drawn["tuning"]]
    every = [key(pair.healthy.cell) for part in drawn.values() for pair in part]
    assert len(set(every)) == len(every)


def test_the_parts_are_apart(drawn):
    assert {pair.healthy.family for pair in drawn["tuning"]} == {"mlp", "cnn"}
    assert all(pair.healthy.depth % 2 == 0 for pair in drawn["tuning"])
    odd = [pair.healthy for pair in drawn["unseen"] if pair.healthy.family in ("mlp", "cnn")]
    assert all(run.depth % 2 for run in odd)
    seeds = {part: {pair.healthy.cell.seed for pair in drawn[part]} for part in drawn}
    assert not seeds["tuning"] & seeds["unseen"]


def test_every_kind_family_and_depth(drawn):
    every = [pair for part in drawn.values() for pair in part]
    kinds = Counter(pair.label.kind for pair in every)
    assert set(kinds) == set(detection.KINDS) - NEVER
    assert min(kinds.values()) >= 15
    assert {pair.healthy.family for pair in every} == {"mlp", "cnn", "rnn", "lstm", "gru", "transformer"}
    assert {2, 63} <= {pair.healthy.depth for pair in every}
    assert len({type(pair.healthy.cell.recipe.optimizer) for pair in every}) >= 15


def test_every_fault_can_be_planted(drawn):
    for pair in (pair for part in drawn.values() for pair in part):
        task = tasks.make(pair.faulty.problem)
        steps = tasks.total_steps(task.samples, pair.faulty.budget)
        refuse_misplaced(pair.faults, task.shapes, pair.faulty.recipe, steps)
        names = {*task.shapes, *(name.rpartition(".")[0] for name in task.shapes), ""}
        assert pair.label.layers & names


def verdict(kind=None, said=None, step=10):
    label = None if kind is None else Label(kind, frozenset({"dense1", "relu1"}), step)
    return Verdict(0, "mlp", label, 6, {"gradgauge": said})


def test_the_score_by_hand():
    """Of four healthy, one alarm; of five faults four found: three of the kind, two layers, two of three steps."""
    verdicts = [
        *[verdict() for _ in range(3)],
        verdict(said=Alarm("vanishing", "", 0)),
        verdict("dead_units"),
        verdict("dead_units", Alarm("dead_units", "relu1", 16)),  # as late as may be
        verdict("dead_units", Alarm("dead_units", "dense1", 17)),  # too late
        verdict("dead_units", Alarm("vanishing", "dense2", 8)),
        verdict("over_fitting", Alarm("over_fitting", "", 99), step=None),  # has no step
    ]
    found = score(verdicts, "gradgauge")
    assert (found.alarmed.events, found.alarmed.trials) == (1, 4)
    assert (found.found.events, found.found.trials) == (4, 5)
    assert (found.kind.events, found.kind.trials) == (3, 4)
    assert (found.layer.events, found.layer.trials) == (2, 4)
    assert (found.step.events, found.step.trials) == (2, 3)
    assert found.balanced == pytest.approx((0.8 + 0.75) / 2)
