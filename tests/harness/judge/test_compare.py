"""Verdicts on sides that are made up, worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.judge.compare import compare
from harness.judge.kinds import BYTES, DIVERGED, FAILED, LEVEL, SECONDS, STEPS, Key, Measurement
from harness.judge.ratio_interval import Quartiles

KEY = Key("torch", "digits: adam", "step time")


def clock(values, pairing=""):
    return Measurement(SECONDS, dict(enumerate(values)), pairing)


def seeds(values, kind=LEVEL):
    return Measurement(kind, dict(enumerate(values)), "seed", noisy=False)


def number(value, kind=BYTES):
    return Measurement(kind, {0: value}, noisy=False)


def judged(a, b, margin=0.05):
    (one,) = compare({KEY: a}, {KEY: b}, margin).comparisons
    return one


def test_pairs_of_one_session_by_hand():
    # The machine slows down by ten in the middle; block by block B takes exactly 1.2 times as long.
    drift = [1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 1.0, 1.0]
    one = judged(clock(drift, "block monday"), clock([1.2 * x for x in drift], "block monday"))
    assert (one.ratio.value, one.ratio.low, one.ratio.high) == pytest.approx((1.2, 1.2, 1.2))
    assert one.verdict == ("worse", "slower")
    assert one.how == "8 pairs by block"
    assert not one.apart


def test_blocks_of_two_sessions_are_not_pairs():
    drift = [1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 1.0, 1.0]
    one = judged(clock(drift, "block monday"), clock([1.2 * x for x in drift], "block tuesday"))
    assert one.verdict.side == "undecided"
    assert one.how == "not paired, 8 and 8 values"
    assert one.apart


@pytest.mark.parametrize(
    ("factor", "spread", "verdict"),
    [
        (0.8, 0.001, "faster"),
        (1.25, 0.001, "slower"),
        (1.02, 0.001, "equal within 5 %"),  # a difference, but one that does not matter
        (1.0, 0.5, "undecided"),
        (1.045, 0.02, "undecided"),  # beyond noise, not beyond the margin
    ],
)
def test_verdicts_of_a_clock(factor, spread, verdict):
    noise = np.linspace(-1, 1, 20)
    a, b = 1 + 0.1 * noise, factor * (1 + 0.1 * noise) * (1 + spread * np.sin(9 * noise))
    assert judged(clock(a, "block monday"), clock(b, "block monday")).verdict.words == verdict


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.25, "slower"), (0.9, "faster"), (1.09, "equal within 10 %"), (1.02, "equal within 10 %")],
)
def test_one_process_a_side_decides_nothing_within_ten_per_cent(factor, verdict):
    """However narrow the interval: its values share what another process would move."""
    noise = 1 + 0.001 * np.linspace(-1, 1, 20)
    one = judged(clock(noise), clock(factor * noise), margin=0.025)
    assert (one.verdict.words, one.how) == (verdict, "not paired, 20 and 20 values")
    assert one.apart
    assert judged(clock(noise), clock(1.15 * noise), margin=0.2).verdict.words == "equal within 20 %"


def in_processes(values, pace="NumPy 2 on a machine"):
    return replace(clock(values * 8), processes=tuple(values), pace=pace)


def test_several_processes_a_side_by_hand():
    # ln of the sides: −d, 0, d and 0.05 − d, 0.05, 0.05 + d, d = 0.01; each variance 1e-4 of 2 degrees, pooled 4.
    # Half the interval: √(1e-4 (1/3 + 1/3)) · t₀.₉₇₅(4) = 0.008165 · 2.776445 = 0.022670.
    a, b = ([math.exp(middle + d) for d in (-0.01, 0, 0.01)] for middle in (0, 0.05))
    one = judged(in_processes(a), in_processes(b), margin=0.025)
    assert np.log([one.ratio.value, one.ratio.low, one.ratio.high]) == pytest.approx([0.05, 0.02733, 0.07267], abs=1e-6)
    assert one.verdict == ("worse", "slower")
    assert one.how == "3 and 3 processes, each over its core's pace"
    assert not one.apart
    assert judged(in_processes(b), in_processes(a), margin=0.025).verdict == ("better", "faster")
    # ln(1.025) = 0.0247: a difference of 0.0022 ± 0.0227 goes beyond it, one of 0.002 does not.
    for middle, verdict in ((0.0022, "undecided"), (0.002, "equal within 2.5 %")):
        near = in_processes([math.exp(middle + d) for d in (-0.01, 0, 0.01)])
        assert judged(in_processes(a), near, margin=0.025).verdict.words == verdict


def test_another_pace_is_another_unit():
    a, b = in_processes([1.0, 1.001, 0.999]), in_processes([0.52, 0.521, 0.519], pace="NumPy 3 on a machine")
    one = judged(a, replace(b, values=a.values), margin=0.025)
    assert (one.ratio.value, one.verdict.words, one.apart) == (1, "equal within 10 %", True)


def test_how_far_processes_are_apart_is_told_by_all_that_a_contender_was_timed_on():
    quiet, wild = [1.0, 1.0, 1.0], [math.exp(d) for d in (-0.02, 0, 0.02)]
    keys = [Key("torch", f"recipe {place}", "step time") for place in range(3)]
    side = dict(zip(keys, map(in_processes, (quiet, quiet, wild)), strict=True))
    other = side | {Key("jax", "recipe 0", "step time"): in_processes(quiet)}
    found = {one.key: one.ratio for one in compare(other, other, 0.025).comparisons}
    # Variances 0, 0 and 4e-4 on each side: 8e-4 · 2 / 12 degrees = 1.333e-4; of the wild one no less than its own 4e-4.
    t = stats.t.ppf(1 - 0.05 / 4 / 2, 12)
    assert math.log(found[keys[0]].high) == pytest.approx(math.sqrt(4e-4 / 3 * 2 / 3) * t)
    assert math.log(found[keys[2]].high) == pytest.approx(math.sqrt(4e-4 * 2 / 3) * t)
    assert found[Key("jax", "recipe 0", "step time")].high == 1  # another contender's wobble is none of its own


def test_more_comparisons_make_wider_intervals():
    a = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09]
    b = [x + 0.05 for x in a]
    alone = judged(clock(a), clock(b)).ratio
    keys = [Key("torch", f"recipe {place}", "step time") for place in range(40)]
    among = compare(dict.fromkeys(keys, clock(a)), dict.fromkeys(keys, clock(b)), 0.05)
    assert among.intervals == 40
    assert among.comparisons[0].ratio.low < alone.low
    assert among.comparisons[0].ratio.high > alone.high


def test_five_values_decide_nothing_however_far_apart():
    one = judged(clock([1.0] * 5), clock([9.0] * 5))
    assert one.ratio.value == 9 and math.isnan(one.ratio.low)
    assert one.verdict.side == "undecided"


def test_numbers_that_repeat_are_facts():
    assert judged(number(1000), number(1000)).verdict == ("equal", "equal")
    assert judged(number(1000), number(1040)).verdict == ("equal", "equal within 5 %")
    assert judged(number(1000), number(1100)).verdict == ("worse", "larger")
    assert judged(number(1000), number(900)).verdict == ("better", "smaller")
    assert judged(number(1000), number(900)).how == "one number"
    assert compare({KEY: number(1)}, {KEY: number(2)}, 0.05).intervals == 0


@pytest.mark.parametrize(("a", "b", "side"), [(0, 0, "equal"), (0, 1, "worse"), (-2, -4, "better"), (-2, 1, "worse")])
def test_numbers_that_have_no_ratio_have_an_order(a, b, side):
    assert judged(number(a, LEVEL), number(b, LEVEL)).verdict.side == side


def test_a_few_seeds_are_judged_by_all_of_them():
    assert judged(seeds([10, 20, 30], STEPS), seeds([8, 17, 21], STEPS)).verdict == ("better", "fewer")
    assert judged(seeds([10, 20, 30], STEPS), seeds([8, 21, 21], STEPS)).verdict.side == "undecided"
    assert judged(seeds([10, 20, 30], STEPS), seeds([10, 20, 30], STEPS)).verdict.words == "equal"
    assert judged(seeds([0.1, 0.2]), seeds([0.11, 0.22])).how == "2 pairs by seed"


def test_many_seeds_have_an_interval():
    before = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    one = judged(seeds(before), seeds([0.5 * x for x in before]))
    assert (one.ratio.low, one.ratio.high) == pytest.approx((0.5, 0.5))
    assert one.verdict == ("better", "lower")


def test_seeds_that_one_side_lacks_take_no_part():
    one = judged(Measurement(LEVEL, {0: 1.0, 1: 5.0}, "seed", noisy=False), seeds([1.0]))
    assert one.verdict.words == "equal"


def test_divergence_and_targets_have_words_of_their_own():
    assert judged(seeds([0.1, 0.2, 0.3]), seeds([math.inf, math.inf, 0.3])).verdict == ("worse", "now diverges")
    assert judged(seeds([math.inf]), seeds([0.3])).verdict == ("better", "no longer diverges")
    assert judged(seeds([math.inf]), seeds([math.inf])).verdict.words == "equal"
    lost = judged(seeds([50, 60], STEPS), seeds([math.inf, math.inf], STEPS))
    assert lost.verdict == ("worse", "no longer reaches the target")
    assert judged(number(math.inf), number(1000)).verdict == ("better", "smaller")  # of no word of its own
    assert judged(number(0, DIVERGED), number(1, DIVERGED)).verdict == ("worse", "now diverges")
    assert judged(number(1, DIVERGED), number(0, DIVERGED)).verdict == ("better", "no longer diverges")


def test_a_failure_is_a_verdict():
    failed = Measurement(SECONDS, {}, failed="out of memory")
    assert judged(clock([1.0]), failed).verdict == ("worse", "now fails")
    assert judged(clock([1.0]), failed).how == "out of memory"
    assert judged(failed, clock([1.0])).verdict == ("better", "no longer fails")
    both = compare({KEY: failed}, {KEY: failed}, 0.05)
    assert (list(both.comparisons), both.nowhere) == ([], [KEY])


def test_what_one_side_lacks_is_told():
    other = Key("jax", "digits: adam", "step time")
    found = compare({KEY: number(1)}, {other: number(1)}, 0.05)
    assert (found.only_a, found.only_b, list(found.comparisons)) == ([KEY], [other], [])


def test_quartiles_stand_in_for_values_that_were_not_kept():
    kept = Measurement(SECONDS, {0: 1.0}, quartiles=Quartiles(0.99, 1.01, 20))
    one = judged(kept, clock([2.0 + x / 100 for x in range(10)]))
    assert one.verdict.words == "slower"
    assert one.how == "not paired, 20 and 10 values, from quartiles"
    for quartiles in (Quartiles(0.99, 1.01, 3), Quartiles(0.0, 1.01, 20), Quartiles(-1.0, math.inf, 20)):
        loose = judged(Measurement(SECONDS, {0: 1.0}, quartiles=quartiles), kept)  # too few, or no logarithm
        assert loose.verdict.side == "undecided" and math.isnan(loose.ratio.low)
    wide = judged(Measurement(SECONDS, {0: 1.0}, quartiles=Quartiles(5e-324, 1e308, 20)), kept).ratio
    assert 0 < wide.low < 1 < wide.high < math.inf


def test_only_seeds_that_both_sides_have_are_compared():
    """Of seeds 0, 1, 2 the target is lost by 1 and 2, which B never trained: what both trained is the same."""
    many = Measurement(STEPS, {0: 140.0, 1: math.inf, 2: math.inf}, "seed", noisy=False)
    one = judged(many, seeds([140.0], STEPS))
    assert (one.verdict.words, one.a.median, one.b.median) == ("equal", 140.0, 140.0)
    assert one.how == "one number, 2 without a partner"
    assert judged(seeds([140.0], STEPS), many).verdict.words == "equal"


def test_a_run_that_now_fails_is_worse_and_those_that_never_do_are_no_comparison():
    def failed(count):
        return Measurement(FAILED, {0: count}, noisy=False, failed="timeout" if count else "")

    one = judged(failed(0), failed(1))
    assert (one.verdict, one.how) == (("worse", "now fails"), "timeout")
    assert judged(failed(2), failed(0)).verdict == ("better", "no longer fails")
    none = compare({KEY: failed(0)}, {KEY: failed(0)}, 0.05)
    assert not none.comparisons and not none.only_a and not none.nowhere
    assert not compare({KEY: failed(0)}, {}, 0.05).only_a and compare({KEY: failed(1)}, {}, 0.05).only_a == [KEY]
