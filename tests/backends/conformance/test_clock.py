"""The work that clocks are checked with: what it computes, and that a worker answers with all of its seconds."""

import numpy as np
import pytest

from harness import registry
from harness.errors import Unsupported
from harness.frames import Request
from harness.measure.clock import PHASES, REPEATS
from harness.worker import Worker


def test_it_makes_matrix_products(backend):
    # J/n squared is J/n, J the matrix of ones; without the products' sums the entries would shrink.
    work = backend.work("cpu", 16)
    made = work.start(3)
    work.fence(made)
    np.testing.assert_allclose(np.asarray(made), np.full((16, 16), 1 / 16), rtol=1e-6)


def test_a_gpu_that_is_not_there_is_unsupported(name, backend):
    if "cuda" not in registry.find(name).devices or backend.facts()["GPU"] != "none":
        pytest.skip("this backend runs on no GPU, or there is one")
    with pytest.raises(Unsupported, match="sees no GPU"):
        backend.work("cuda", 16)


def test_a_worker_times_it_with_and_without_a_fence_and_every_phase(name, backend):
    if not registry.find(name).timed:
        pytest.skip("never timed")
    reply = Worker(backend, 0.0).answer(Request("clock", device="cpu"))
    assert reply.status == "ok", reply.reason
    seconds = {s.name: np.frombuffer(s.value) for s in reply.series}
    assert set(seconds) == {"idle", "unfenced", "fenced", "twice", *PHASES, *(f"{phase} left" for phase in PHASES)}
    assert all(values.size == REPEATS and (values > 0).all() for values in seconds.values())
    assert (seconds["unfenced"] <= seconds["fenced"]).all()
