"""Held to some cores, all threads of a process stay there, those that it starts later too; and go free again."""

import os
import threading

import pytest

from harness.measure.cores import Cores

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system holds no process to cores")


def where(thread):
    return sorted(os.sched_getaffinity(thread))


@pytest.fixture
def waiting():
    """A function that starts a thread which waits, and tells its number."""
    end, started = threading.Event(), []

    def start():
        thread = threading.Thread(target=end.wait)
        thread.start()
        started.append(thread)
        return thread.native_id

    yield start
    end.set()
    for thread in started:
        thread.join()


def test_all_threads_are_held_and_released(waiting):
    before, earlier = where(0), waiting()
    cores = Cores(threads=1)
    cores.hold()
    later = waiting()
    assert [where(thread) for thread in (0, earlier, later)] == [before[-1:]] * 3
    assert cores.facts() == {"cores": "1"}
    cores.release()
    assert [where(thread) for thread in (0, earlier, later)] == [before] * 3


def test_more_threads_than_cores_are_held_to_all_cores():
    before = where(0)
    cores = Cores(threads=len(before) + 3)
    cores.hold()
    assert where(0) == before
    assert cores.facts() == {"cores": str(len(before))}


def test_held_again_without_release_it_still_knows_where_it_could_go():
    before = where(0)
    Cores(threads=1).hold()
    later = Cores(threads=1)
    later.hold()
    later.release()
    assert where(0) == before
