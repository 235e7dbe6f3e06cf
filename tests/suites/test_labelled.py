"""The labelled pairs: drawn the same each time, apart, of every kind and family; and the arithmetic of their table."""

import itertools
from collections import Counter

import numpy as np
import pytest

from harness.findings.finding import Kind
from harness.measure.faults import refuse_misplaced
from harness.problems import task as tasks
from harness.spec.base import key
from suites import detection
from suites.detection import Alarm, Verdict, score
from suites.labelled import noise
from suites.labelled.pairs import pairs
from suites.labelled.planted import Label

# Not planted into a run: one is a note, the other is of its data.
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


def test_targets_are_dealt_out_among_the_same_inputs(drawn, tmp_path):
    made = {part: list(itertools.islice(noise.pairs(part, "full", tmp_path / part), 5)) for part in drawn}
    every = [pair for part in made.values() for pair in part]
    assert len({key(cell) for pair in every for cell in (*pair.twins, pair.faulty)}) == 20
    assert not {pair.healthy.depth for pair in made["tuning"]} & {pair.healthy.depth for pair in made["unseen"]}
    for pair in every:
        theirs, dealt = (np.load(cell.problem.data.name) for cell in (*pair.twins, pair.faulty))
        assert np.array_equal(theirs["x"], dealt["x"])
        assert np.array_equal(np.sort(theirs["y"].ravel()), np.sort(dealt["y"].ravel()))
        assert 0.02 < np.mean(theirs["y"] == dealt["y"]) < 0.7
        samples = tasks.make(pair.faulty.problem).samples
        assert pair.faulty.budget.steps * pair.faulty.budget.batch == pytest.approx(samples, rel=0.01)


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
