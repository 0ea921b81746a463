"""Writing out what is dirty in small pieces, while nobody is held, so that nobody has to wait for it either.

One syncfs(2) of much holds up every fsync(2) on the same filesystem: the journal's commit waits for all data of the files
that it has grown, and the disk's queue is full of it. Measured on ext4 with 1 GiB dirty: the longest fsync beside syncfs
took 506 to 641 ms; beside pieces of 1 MiB, each waited for, 5 ms, and all of it took no longer. This finds the dirty
files by looking at every file, so it is done only where much is dirty, and for a bounded time; syncfs(2) does the rest.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PIECE_BYTES = 1 << 20
WORTH_IT_BYTES = 32 << 20
"""With less than this dirty on the whole machine, syncfs(2) alone is short."""
LIMIT_S = 10.0
"""The function waits 30 s for everything that comes before the hold (budget.PREFLUSH_S)."""
_EACH_PIECE = 1 | 2 | 4
"""SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER: write the piece, and wait for it (sync_file_range(2))."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


def in_pieces(root: int, *, meminfo: Path = Path("/proc/meminfo"), limit_s: float = LIMIT_S) -> int:
    """Write out every file below the open directory ``root``, on its filesystem; return how many bytes were looked at.

    What cannot be read or written is left to syncfs(2), whose errors count. Raises nothing.
    """
    if dirty_bytes(meminfo) < WORTH_IT_BYTES:
        return 0
    ends_s = time.monotonic() + limit_s
    done = 0
    for fd, size in _files(root):
        with suppress(OSError):
            done += _write(fd, size, ends_s)
        os.close(fd)
        if time.monotonic() > ends_s:
            break
    return done


def dirty_bytes(meminfo: Path) -> int:
    """Read how much is dirty on the whole machine (proc_meminfo(5)); 0 when the kernel does not say."""
    with suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("Dirty:"):
                return int(line.split()[1]) * 1024
    return 0


def _files(root: int) -> Iterator[tuple[int, int]]:
    """Open every file of the filesystem in turn, with its size; who takes a descriptor closes it."""
    device = os.fstat(root).st_dev
    for _, directories, names, fd in os.fwalk(".", dir_fd=root, onerror=lambda _: None):
        directories[:] = [name for name in directories if _lies_on(device, name, fd)]
        for name in names:
            with suppress(OSError):
                seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(seen.st_mode) and seen.st_dev == device and seen.st_size:
                    yield os.open(name, _OPEN, dir_fd=fd), seen.st_size


def _lies_on(device: int, name: str, fd: int) -> bool:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_dev == device
    except OSError:
        return False


def _write(fd: int, size: int, ends_s: float) -> int:
    """Write one file out, piece by piece. Pieces that are clean cost one call each. Raises OSError."""
    for offset in range(0, size, PIECE_BYTES):
        if _libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(PIECE_BYTES), _EACH_PIECE) != 0:
            raise OSError(ctypes.get_errno(), "sync_file_range: " + os.strerror(ctypes.get_errno()))
        if time.monotonic() > ends_s:
            return offset
    return size
