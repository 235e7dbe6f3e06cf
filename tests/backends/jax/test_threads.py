"""The declaration's environment is what XLA obeys."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends.jax import BACKEND

# The processor time, in ticks, of XLA's own threads while one large product is computed again and again.
BUSY = """
from pathlib import Path

import jax.numpy as jnp


def ticks():
    names = {}
    for task in Path("/proc/self/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        names[task.name] = (int(rest.split()[11]) + int(rest.split()[12])) if name == "tf_XLAEigen" else 0
    return sum(names.values())


a = jnp.ones((1024, 1024))
before = ticks()
for _ in range(10):
    a = a @ a * 1e-3
a.block_until_ready()
print(ticks() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_product_uses_the_pool_only_with_several_threads(threads):
    environment = os.environ | BACKEND.environment(threads)
    done = subprocess.run([sys.executable, "-c", BUSY], env=environment, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 0) == (threads > 1)
