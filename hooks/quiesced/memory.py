"""Giving memory back that starting has taken and nothing needs any more."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Return free memory to the kernel, where the C library can (glibc).

    Every module is compiled at start, because nothing compiled is written to disk; what that took stays with the
    allocator, 3 to 7 MB that would never be used again.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
