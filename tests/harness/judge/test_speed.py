"""Speed is judged on made-up records whose medians, ratios and verdicts are worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.backend import Origin
from harness.judge import speed
from harness.judge.speed import Interval
from harness.measure.series import series, table
from harness.problems.catalogue import CATALOGUE
from harness.spec.cell import Cell
from harness.spec.job import Environment, FirstCall, Job, Speed
from harness.spec.optimizers import SGD, Adam
from harness.spec.recipe import L2, GlobalNorm, Recipe
from harness.store import Record

CASE = CATALOGUE["digits-64-64-64-10"]
NATIVE = dict.fromkeys(("model", "loss", "optimizer", "clip", "penalty", "decay", "schedule"), Origin("native", "own"))
PLAIN = Recipe(SGD())


def job(backend, measure, recipe=PLAIN, threads=1):
    environment = Environment("3.11", {backend: "1.0"}, "code", "data", "machine", threads, {})
    return Job(Cell(CASE.problem, recipe, CASE.budget, backend), measure, environment)


def timed(backend, blocks, session="one", plan=NATIVE, recipe=PLAIN, **environment):
    rows = table([series("step_seconds", blocks, np.arange(len(blocks)))])
    return Record(
        job(backend, Speed(blocks=max(len(blocks), 1)), recipe, **environment),
        "ok",
        "",
        plan,
        {"session": session},
        rows,
    )


def group_of(*records):
    (group,) = speed.groups(records)
    return group


def test_seconds_are_the_median_of_the_blocks_and_its_interval_lies_among_them():
    (steady,) = group_of(timed("torch", [1.0, 5.0, 2.0, 4.0, 3.0, 100.0])).steady
    assert steady.seconds.value == 3.5
    assert 1.0 <= steady.seconds.low < 3.5 < steady.seconds.high <= 100.0


def test_the_interval_of_the_median_is_the_bootstraps():
    # Two values, resampled with replacement: {a,a}, {a,b}, {b,a}, {b,b}, so medians 1 and 3 with a quarter each.
    (steady,) = group_of(timed("torch", [1.0, 3.0])).steady
    assert (steady.seconds.value, steady.seconds.low, steady.seconds.high) == (2.0, 1.0, 3.0)


def test_a_single_block_has_no_interval_and_decides_nothing():
    group = group_of(timed("torch", [2.0]), timed("jax", [1.0]))
    assert math.isnan(group.steady[0].seconds.low)
    (ratio,) = group.ratios
    assert ratio.factor.value == 2.0
    assert ratio.verdict == "undecided"
    assert group.fastest is None


def test_ratios_within_a_session_are_paired_by_block():
    # The machine slows down by ten in the middle; block by block torch takes exactly twice as long.
    drift = np.array([1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 1.0])
    group = group_of(timed("torch", 2 * drift), timed("jax", drift))
    (ratio,) = group.ratios
    assert ratio.paired
    assert (ratio.factor.value, ratio.factor.low, ratio.factor.high) == (2.0, 2.0, 2.0)
    assert ratio.verdict == "longer"
    assert group.fastest is not None and group.fastest.job.cell.backend == "jax"


def test_blocks_are_paired_by_their_number_not_by_their_place():
    torch, jax = timed("torch", [2.0, 4.0, 6.0]), timed("jax", [1.0, 2.0, 3.0])
    shuffled = Record(jax.job, "ok", "", NATIVE, {"session": "one"}, jax.table.iloc[::-1])
    assert group_of(torch, shuffled).ratios[0].factor.value == 2.0


def test_across_sessions_every_block_meets_every_block_and_the_ratio_says_so():
    drift = np.array([1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 1.0])
    (ratio,) = group_of(timed("torch", 2 * drift, "monday"), timed("jax", drift, "tuesday")).ratios
    assert not ratio.paired
    # 7 × 7 ratios: 4·4 + 3·3 = 25 of them are 2, 12 are 20 and 12 are 0.2.
    assert ratio.factor.value == 2.0
    assert ratio.factor.low < 1 < ratio.factor.high  # the drift is no longer taken out
    assert ratio.verdict == "undecided"


def test_records_that_name_no_session_are_not_paired():
    (ratio,) = group_of(timed("torch", [1.0, 2.0], ""), timed("jax", [1.0, 2.0], "")).ratios
    assert not ratio.paired


def test_nothing_is_decided_between_two_hosts_of_one_kind():
    def measured(backend, seconds, host):
        record = timed(backend, [seconds] * 6, host)
        return replace(record, facts={**record.facts, **({"host": host} if host else {})})

    for hosts, verdict in ((("here", "here"), "longer"), (("here", "there"), "undecided"), (("here", ""), "longer")):
        group = group_of(*map(measured, ("torch", "jax"), (2.0, 1.0), hosts))
        (ratio,), (mean,) = group.ratios, speed.overall([group])
        assert (ratio.factor.value, ratio.verdict, mean.verdict) == (2.0, verdict, verdict)
        assert (group.fastest is None) == ratio.elsewhere == (verdict == "undecided")


def test_an_interval_that_includes_one_is_undecided():
    noise = np.array([0.9, 1.1, 0.95, 1.05, 1.02, 0.98, 1.01, 0.97])
    group = group_of(timed("torch", noise), timed("jax", np.ones(8)))
    (ratio,) = group.ratios
    assert ratio.factor.low <= 1 <= ratio.factor.high
    assert ratio.verdict == "undecided"
    assert group.fastest is None


def test_five_blocks_on_one_side_are_not_evidence_six_are():
    for blocks, verdict in ((5, "undecided"), (6, "longer")):
        group = group_of(timed("torch", [2.0] * blocks), timed("jax", [1.0] * blocks))
        assert group.ratios[0].verdict == verdict


def test_composed_code_is_marked_and_does_not_compete():
    composed = {**NATIVE, "optimizer": Origin("composed", "sgd", "there is none")}
    group = group_of(timed("numpy", [1.0] * 8, plan=composed), timed("torch", [3.0] * 8), timed("jax", [2.0] * 8))
    assert [ratio.composed for ratio in group.ratios] == [True, True, False]
    assert group.fastest is not None and group.fastest.job.cell.backend == "jax"


def test_only_pieces_that_the_cell_uses_count_as_composed():
    plan = {**NATIVE, "penalty": Origin("composed", "autograd"), "clip": Origin("composed", "c/‖g‖")}
    assert speed.composed(timed("torch", [1.0], plan=plan)) == ()
    assert speed.composed(timed("torch", [1.0], plan=plan, recipe=Recipe(SGD(), penalty=L2()))) == ("penalty",)
    both = Recipe(SGD(), clip=GlobalNorm(), penalty=L2())
    assert speed.composed(timed("torch", [1.0], plan=plan, recipe=both)) == ("clip", "penalty")


def test_the_overall_ratio_is_the_geometric_mean_without_composed_ones():
    sgd, adam, other = Recipe(SGD()), Recipe(Adam()), Recipe(SGD(lr=0.5))
    composed = {**NATIVE, "optimizer": Origin("composed", "sgd", "there is none")}
    records = [
        *(timed("torch", [2.0] * 8, recipe=sgd), timed("jax", [1.0] * 8, recipe=sgd)),
        *(timed("torch", [8.0] * 8, recipe=adam), timed("jax", [1.0] * 8, recipe=adam)),
        *(timed("torch", [50.0] * 8, recipe=other, plan=composed), timed("jax", [1.0] * 8, recipe=other)),
    ]
    (mean,) = speed.overall(speed.groups(records))
    assert mean.of.backend == "torch" and mean.to.backend == "jax"
    assert mean.factor.value == pytest.approx(4.0)  # √(2·8); with the composed one it would be 9.3
    assert mean.verdict == "longer"


def test_the_overall_ratio_is_turned_so_that_the_slower_stands_over_the_quicker():
    records = [
        *(timed("torch", [2.0] * 8), timed("jax", [1.0] * 8)),
        *(timed("torch", [1.0] * 8, recipe=Recipe(Adam())), timed("jax", [8.0] * 8, recipe=Recipe(Adam()))),
    ]
    (mean,) = speed.overall(speed.groups(records))
    assert (mean.of.backend, mean.to.backend) == ("jax", "torch")
    assert mean.factor.value == pytest.approx(2.0)  # √(8/2)


def test_one_backend_in_two_environments_is_two_contenders():
    group = group_of(timed("torch", [1.0] * 8), timed("torch", [2.0] * 8, threads=4))
    assert len({s.contender for s in group.steady}) == 2


def test_records_without_numbers_take_no_part():
    failed = Record(job("torch", Speed()), "failed", "out of memory")
    assert speed.groups([failed]) == []


def test_results_do_not_depend_on_the_order_of_records():
    records = [timed(b, np.random.default_rng(seed).random(9) + 1) for seed, b in enumerate(("torch", "jax", "numpy"))]
    forward, backward = group_of(*records), group_of(*reversed(records))
    assert [r.factor for r in forward.ratios] == [r.factor for r in backward.ratios]


def test_compiling_is_the_first_step_minus_the_second_process_by_process():
    phases = {
        "import": [1.0, 3.0, 2.0],
        "build": [0.1] * 3,
        "first_step": [5.0, 9.0, 6.0],
        "second_step": [1.0, 2.0, 3.0],
    }
    rows = table([series(f"{name}_seconds", values, np.arange(3)) for name, values in phases.items()])
    (first,) = speed.first_calls([Record(job("jax", FirstCall(processes=3)), "ok", "", NATIVE, {}, rows)])
    assert (first.imports, first.build, first.first_step, first.second_step) == (2.0, 0.1, 6.0, 2.0)
    assert first.compiling == 4.0  # the median of 4, 7 and 3; the difference of the medians is 4 as well
    assert first.total == pytest.approx(8.1)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (Interval(1.03, 1.02, 1.04), "longer"),
        (Interval(1.02, 1.01, 1.03), "undecided"),  # another session moves it by as much
        (Interval(1.03, 0.99, 1.07), "undecided"),
        (Interval(0.97, 0.96, 0.98), "shorter"),  # 1/1.025 = 0.976
        (Interval(0.98, 0.97, 0.99), "undecided"),
    ],
)
def test_longer_and_shorter_take_an_interval_without_1_and_a_ratio_beyond_the_margin(factor, said):
    assert speed.decide(factor, 0.025) == said


def test_what_was_timed_in_two_sessions_is_told_apart_by_ten_per_cent_or_more():
    blocks = np.linspace(0.999, 1.001, 24)
    for factor, in_turn, apart in ((1.05, "longer", "undecided"), (1.11, "longer", "longer")):
        ratios = [
            speed.ratio(*group_of(timed("torch", factor * blocks, session), timed("jax", blocks)).steady[::-1])
            for session in ("one", "another")
        ]
        assert [one.verdict for one in ratios] == [in_turn, apart]
        assert [speed.overall([group_of(timed("torch", factor * blocks, s), timed("jax", blocks))])[0].verdict
                for s in ("one", "another")] == [in_turn, apart]  # fmt: skip


def test_processes_are_resampled_before_their_blocks():
    """Two processes of three equal blocks each: a resample is of one of them, of the other, or of both, 1 : 1 : 2."""
    blocks = [1.0, 1.0, 1.0, 3.0, 3.0, 3.0]
    rows = table([series("step_seconds", blocks, np.arange(6))])
    record = Record(job("torch", Speed(blocks=3, processes=2)), "ok", "", NATIVE, {"session": "one"}, rows)
    (steady,) = group_of(record).steady
    assert steady.processes == 2
    medians = speed._medians(np.array(blocks), steady.key, 2)
    shares = [np.mean(medians == value) for value in (1.0, 2.0, 3.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert (steady.seconds.low, steady.seconds.high) == (1.0, 3.0)
    (short,) = group_of(timed("torch", blocks)).steady  # of a job with six blocks in each of four processes
    assert short.processes == 1
