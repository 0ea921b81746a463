"""Keeping the daemon small: one heap for all threads, and memory given back that nothing needs any more."""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX = -8
"""malloc.h; mallopt(3)."""


def share_one_heap() -> None:
    """Have all threads allocate from one heap, where the C library can (glibc); before there are any.

    It gives each thread a heap of its own, and few of them ever shrink: 2 MB after a hold, and for nothing, because Python
    runs one thread at a time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the kernel, where the C library can (glibc).

    Every module is compiled at start, because nothing compiled is written to disk; what that took stays with the
    allocator, 3 to 7 MB that would never be used again.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
