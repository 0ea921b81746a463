"""Keeping the daemon small: one heap for all threads and nothing large in it, and memory given back that nothing needs."""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
"""malloc.h; mallopt(3)."""
LARGE_BYTES = 128 << 10


def stay_small() -> None:
    """Have all threads allocate from one heap, and large pieces from none, where the C library can (glibc).

    Called before there are any threads. It gives each thread a heap of its own, and few of them ever shrink: 2 MB after a
    hold, and for nothing, because Python runs one thread at a time. And once a large piece was given back, the next of its
    size is put into the heap, between small ones that stay: 2.7 MB more after every hold, which reads this program.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def give_back() -> None:
    """Return free memory to the kernel, where the C library can (glibc).

    Every module is compiled at start, because nothing compiled is written to disk; what that took stays with the
    allocator, 3 to 7 MB that would never be used again.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
