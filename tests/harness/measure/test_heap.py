"""Memory that is freed and taken again, seen by its page faults."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from harness.measure import heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        some = [np.ones(500_000, np.float32) for _ in range(5)]
        del some
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
own = faults()
heap.keep()
heap.keep()
faults()
print(own, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_what_is_freed_is_there_again():
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=plain)
    own, kept = map(int, done.stdout.split())
    assert own >= 100  # arrays, each of which begins at least one page
    assert kept < own / 20
