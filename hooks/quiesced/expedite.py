"""Asking the kernel to hurry while filesystems freeze (docs/adr/0005).

A freeze waits for three RCU grace periods (percpu rwsems of the superblock: kernel/locking/percpu-rwsem.c). With
/sys/kernel/rcu_expedited at 1 these take microseconds instead of about 10 ms each, at the price of interrupting every
processor. The prior value is put back right after.
"""

from __future__ import annotations

import os
from pathlib import Path

RCU_EXPEDITED = Path("/sys/kernel/rcu_expedited")
NO_KNOB = -1


def open_knob(path: Path) -> int:
    """Open the kernel's setting if it is ours to change: writable, and 0 now. NO_KNOB otherwise.

    A setting that is on already needs no change, and must stay on.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return NO_KNOB
    if os.pread(fd, 8, 0).strip() == b"0":
        return fd
    os.close(fd)
    return NO_KNOB


def turn(knob: int, on: bool) -> None:
    """Set the kernel's setting; without a knob, or when the kernel refuses, the freeze is only slower."""
    if knob != NO_KNOB:
        try:
            os.pwrite(knob, b"1" if on else b"0", 0)
        except OSError:
            return


def close(knob: int) -> None:
    """Close a knob, if there is one."""
    if knob != NO_KNOB:
        os.close(knob)


def restore(path: Path) -> None:
    """Put back what ``turn`` changed in an earlier daemon."""
    try:
        path.write_text("0", encoding="ascii")
    except OSError:
        return
