"""What an observed step needs for a moment stays with the process: glibc hands freed memory back to the system, which
gives it again cleared, a page fault every 4 KiB. In JAX's perceptron that was 1400 of them, half of an observed step.
"""

import ctypes
import functools
import sys

TRIM, MAPPED = -1, -3  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (malloc.h)
LARGEST = 1 << 25  # bytes: more than glibc's greatest threshold is mapped by itself, as it was
KEPT = 1 << 30  # bytes that may be free at the end of the heap


@functools.cache
def keep() -> None:
    """From now on keep what is freed, for as long as this process lives; where malloc is not glibc's, do nothing."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(MAPPED, LARGEST)
        mallopt(TRIM, KEPT)
