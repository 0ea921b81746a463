"""A disk on a disk, for freezes that are stuck in the kernel for as long as a test wants."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from quiesced.freeze import LinuxIoctls, thaw_if_frozen
from tests.daemon.loopdisks import LoopDisk, LoopDisks, loop_disks


class Nested:
    """A disk whose image lies on another disk: while the lower one is frozen, freezing the upper one is stuck."""

    def __init__(self, root: Path, lower: LoopDisks, upper: LoopDisks) -> None:
        self.root = root
        self.lower = lower
        self.upper = upper
        self._fd = os.open(lower.disks[0].mount_point, os.O_RDONLY)

    @property
    def disk(self) -> LoopDisk:
        return self.upper.disks[0]

    def freeze_below(self) -> None:
        LinuxIoctls().freeze(self._fd)

    def thaw_below(self) -> float:
        """Let the stuck freeze complete; return when."""
        thaw_if_frozen(LinuxIoctls(), self._fd)
        return time.monotonic()

    def close(self) -> None:
        self.thaw_below()
        os.close(self._fd)


@contextlib.contextmanager
def nested_disks(root: Path) -> Iterator[Nested]:
    """Make both disks below ``root``; in the end the lower one is thawed first."""
    with contextlib.ExitStack() as stack:
        lower = stack.enter_context(loop_disks(root, ("xfs",)))
        upper = stack.enter_context(loop_disks(lower.disks[0].mount_point, ("ext4",)))
        made = Nested(root, lower, upper)
        stack.callback(made.close)
        yield made
