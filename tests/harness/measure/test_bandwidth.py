"""The bandwidth is bytes over seconds: counted here with a clock of our own. How large it is, is no test's business."""

import numpy as np
import pytest

from harness.measure import bandwidth
from harness.measure.bandwidth import CALL, ROUNDS, SMALLEST, Bandwidth


@pytest.fixture
def passes(monkeypatch):
    """How many elements were scaled, pass by pass; a pass takes 1 s a call and 1 s every 1024 bytes."""
    done = []
    monkeypatch.setattr(bandwidth, "_scale", lambda one, repeats: done.append((one.nbytes, repeats)))
    monkeypatch.setattr(bandwidth.time, "perf_counter", lambda: _seconds(done))
    return done


def _seconds(done):
    return float(sum(repeats * (1 + nbytes / 1024) for nbytes, repeats in done))


def test_the_call_itself_is_taken_off(passes):
    # 64 KiB take 1 + 64 s, a mere call with 2 KiB 1 + 2 s: 62 KiB are read and written in 62 s.
    measured = Bandwidth(1 << 16, threads=1)
    assert measured() == pytest.approx(2 * 1024)


def test_every_thread_has_a_slice_and_none_has_less_than_the_least(passes):
    Bandwidth(1, threads=3)
    assert [nbytes for nbytes, _ in passes[:3]] == [SMALLEST] * 3


def test_the_values_stay_what_they_are_and_every_byte_of_the_set_is_touched():
    measured = Bandwidth(1 << 18, threads=2)
    assert sum(one.nbytes for one in measured.slices) == 1 << 18
    assert measured.bytes == 2 * ((1 << 18) - 2 * CALL)
    assert measured() > 0
    assert all(np.array_equal(one, np.ones_like(one)) for one in measured.slices)
    measured.close()


def test_calls_that_were_disturbed_are_measured_again(monkeypatch):
    measured = Bandwidth(SMALLEST, threads=1)
    seconds = iter([3.0, 5.0] * ROUNDS + [4.0, 1.0])  # passes and calls in turn
    monkeypatch.setattr(measured, "_passes", lambda slices, repeats: next(seconds))
    assert measured() == measured.repeats * measured.bytes / (3.0 - 1.0)
