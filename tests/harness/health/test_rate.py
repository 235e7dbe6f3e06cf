"""Changes of the rate, by hand: of steps as gradient descent and momentum make them."""

import math

import numpy as np
import pytest

from harness.health import rate

ONE = np.ones(24)


def momentum(gradients, rates, mu=0.9):
    """‖Δw‖ of one tensor of one number: Δwₜ = ηₜvₜ, vₜ = μvₜ₋₁ + gₜ, from what it comes to at the first gradient."""
    v, moves = gradients[0] / (1 - mu), []
    for g, eta in zip(gradients, rates, strict=True):
        v = mu * v + g
        moves.append(eta * v)
    return np.array(moves)[:, None]


def jumps(moves, gradients, frozen=0.0, factors=None):
    factors = np.ones(len(moves)) if factors is None else factors
    return rate.jumps(moves, gradients, np.broadcast_to(frozen, moves.shape), factors)


def test_a_rate_that_is_three_times_as_large_from_a_step_on():
    rates = np.where(np.arange(24) < 10, 0.1, 0.3)
    (found,) = jumps(rates[:, None] * [2.0, 5.0], np.broadcast_to([2.0, 5.0], (24, 2)))
    assert found == (9, pytest.approx(math.log(3)))


def test_a_gradient_that_is_three_times_as_large_is_none_and_neither_is_what_a_schedule_says():
    gradients = np.where(np.arange(24) < 10, 1.0, 3.0)[:, None]
    assert jumps(0.1 * gradients, gradients) == []
    factors = np.where(np.arange(24) < 10, 1.0, 0.1)
    assert jumps(factors[:, None], np.ones((24, 1)), factors=factors) == []


def test_one_tensor_alone_and_a_single_step_are_none():
    moves = np.ones((24, 2))
    moves[10:, 0] = 3.0
    assert jumps(moves, np.ones((24, 2))) == []
    moves = np.ones((24, 1))
    moves[10] = 3.0
    assert jumps(moves, np.ones((24, 1))) == []


def test_where_rounding_sets_how_long_a_step_is_none_is_judged():
    moves, ones = np.where(np.arange(24) < 10, 1.0, 0.3)[:, None], np.ones((24, 1))
    frozen = np.where(np.arange(24) < 10, 0.0, 0.5)[:, None]
    assert len(jumps(moves, ones, frozen)) == 1  # a rate that something has cut has lost them
    cut = np.where(np.arange(24) < 10, 1.0, 0.5)  # the schedule has, by half; rounding left less
    assert jumps(0.4 * moves, ones, frozen, cut) == []
    assert jumps(moves, ones, np.full((24, 1), 0.5)) == []


def test_within_a_gap_the_step_is_found_at_which_the_rate_changed():
    rates = np.where(np.arange(11) < 7, 0.1, 0.3)
    moves, gradients = momentum(np.ones(11), rates), np.ones((11, 1))
    assert rate.within(moves, gradients, np.ones(11), 1.0, gradients[:1]) == (6, pytest.approx(math.log(3)))


def test_a_gradient_within_a_gap_explains_the_steps_behind_it():
    """v was 10 and is 9 + 40 with a gradient of 40; nine steps later 0.9⁹ = 0.39 of the 39 above 10 are left: steps are
    2.5 times as long as before, at the same gradients."""
    gradients = np.where(np.arange(11) == 1, 40.0, 1.0)
    moves = momentum(gradients, np.full(11, 0.1))
    jump = math.log(float(moves[-1, 0] / moves[0, 0]))
    assert jump == pytest.approx(math.log(2.51), abs=0.01)
    assert rate.within(moves, gradients[:, None], np.ones(11), jump, np.ones((4, 1))) is None


def test_a_memory_of_the_rate_changes_steps_little_by_little():
    """vₜ = μvₜ₋₁ + ηgₜ with a tenth of η from some step on: no step is half as long as the one before."""
    v, moves = 1.0, []
    for t in range(11):
        moves.append(v)
        v = 0.9 * v + (0.1 if t < 1 else 0.01)
    jump = math.log(moves[-1] / moves[0])
    assert jump < -rate.TIMES
    moves, ones = np.array(moves)[:, None], np.ones((11, 1))
    assert rate.within(moves, ones, np.ones(11), jump, np.ones((4, 1))) == (9, jump)
    assert rate.within(moves, ones, np.ones(11), jump, np.array([[3.0], [1.0]])) is None  # what it still holds
