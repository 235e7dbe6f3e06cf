"""What an update moves, held against counts by hand, and against what the contender really keeps."""

import pytest

from harness.spec import traffic
from harness.spec.optimizers import (
    LAMB,
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adam,
    Adan,
    Lion,
    Momentum,
    Muon,
    RMSProp,
    Rprop,
    ScheduleFree,
)

BY_HAND = [
    (SGD(), {"read": ["g", "w"], "written": ["w"]}),
    (Momentum(), {"read": ["g", "w", "v"], "written": ["w", "v"]}),
    (Momentum(momentum=0.0), {"read": ["g", "w"], "written": ["w"]}),
    (Lion(), {"read": ["g", "w", "m"], "written": ["w", "m"]}),
    (RMSProp(), {"read": ["g", "w", "h"], "written": ["w", "h"]}),
    (RMSProp(centred=True, momentum=0.9), {"read": ["g", "w", "h", "m", "v"], "written": ["w", "h", "m", "v"]}),
    (Adam(), {"read": ["g", "w", "m", "v"], "written": ["w", "m", "v"]}),
    (Adam(amsgrad="raw"), {"read": ["g", "w", "m", "v", "max"], "written": ["w", "m", "v", "max"]}),
    (Rprop(), {"read": ["g", "w", "s", "last g"], "written": ["w", "s", "last g"]}),
    (Adan(), {"read": ["g", "w", "m", "v", "n", "last g"], "written": ["w", "m", "v", "n", "last g"]}),
    (ScheduleFree(base="sgd"), {"read": ["g", "w", "z"], "written": ["w", "z"]}),
    (ScheduleFree(base="adam"), {"read": ["g", "w", "z", "v"], "written": ["w", "z", "v"]}),
]


@pytest.mark.parametrize(("optimizer", "arrays"), BY_HAND, ids=[str(o) for o, _ in BY_HAND])
def test_traffic_is_what_is_read_and_written_counted_by_hand(optimizer, arrays):
    found = traffic.traffic(optimizer)
    assert found is not None
    assert found.moved == len(arrays["read"]) + len(arrays["written"])
    assert found.held == len({*arrays["read"], *arrays["written"]})


@pytest.mark.parametrize("optimizer", [LAMB(), Muon(), LBFGS()], ids=str)
def test_what_needs_whole_tensors_first_has_no_floor(optimizer):
    assert traffic.traffic(optimizer) is None


def test_every_optimizer_of_the_zoo_is_decided():
    floors = {kind.spelling() for kind in OPTIMIZERS if traffic.traffic(kind()) is not None}
    assert {kind.spelling() for kind in OPTIMIZERS} - floors == {"adafactor", "lars", "lamb", "muon", "lbfgs"}
