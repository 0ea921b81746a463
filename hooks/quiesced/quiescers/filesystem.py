"""Filesystems are held by freezing them, all at the same time, after every application holds.

This is no engine of an ``[[application]]``: a freeze stops writing between any two writes, which says nothing about an
application that was not asked. It covers the disks of the lease, and it comes last and goes first.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from quiesced import expedite
from quiesced.errors import Refused
from quiesced.freeze import Freezer, Ioctls, shows_frozen
from quiesced.messages import FilesystemWitness
from quiesced.state import FrozenMount
from quiesced.survey import Surveyor, Target


@dataclass(frozen=True)
class _Opened:
    target: Target
    fd: int
    freezer: Freezer

    @property
    def where(self) -> str:
        return self.target.mount.mount_point


class Filesystems:
    """Every filesystem that one hold freezes. Without ``expedite_path`` the kernel is not asked to hurry."""

    def __init__(self, surveyor: Surveyor, ioctls: Ioctls, expedite_path: Path | None) -> None:
        self.knob = expedite.NO_KNOB
        self._surveyor = surveyor
        self._ioctls = ioctls
        self._expedite_path = expedite_path
        self._opened: list[_Opened] = []

    def open(self, target: Target) -> None:
        """Open one filesystem and start its thread. Raises Refused."""
        fd = self._surveyor.open(target)
        self._opened.append(_Opened(target, fd, Freezer(self._ioctls, fd)))
        if self._expedite_path and self.knob == expedite.NO_KNOB:
            self.knob = expedite.open_knob(self._expedite_path)

    @property
    def fds(self) -> tuple[int, ...]:
        """Open descriptors, one per filesystem."""
        return tuple(opened.fd for opened in self._opened)

    @property
    def mounts(self) -> tuple[FrozenMount, ...]:
        """What a later daemon would have to thaw."""
        return tuple(FrozenMount(opened.where, opened.target.mount.device) for opened in self._opened)

    def write_back(self) -> None:
        """Write out most of what is dirty, gently: while nobody is held, nobody shall wait for it."""
        for opened in self._opened:
            self._ioctls.write_back(opened.fd)

    def sync(self) -> None:
        """Write out what is dirty. Raises OSError."""
        for opened in self._opened:
            self._ioctls.sync(opened.fd)

    def write_out(self, left_s: Callable[[], float]) -> str | None:
        """Write out what is dirty while applications are locked; return the mount point where that was not done in time.

        Raises Refused(not_durable). A disk that does not answer keeps a thread waiting, and not who holds the locks.
        """
        failed: list[OSError] = []

        def write() -> None:
            try:
                self.sync()
            except OSError as error:
                failed.append(error)

        writing = threading.Thread(target=write, name="write-out", daemon=True)
        writing.start()
        writing.join(left_s())
        if failed:
            raise Refused("not_durable", f"{self._opened[0].where} could not be written out: {failed[0]}")
        return self._opened[0].where if writing.is_alive() else None

    def freeze(self, left_s: Callable[[], float]) -> str | None:
        """Freeze all at once; return the mount point that was not frozen in time. Raises Refused(freeze_failed)."""
        expedite.turn(self.knob, True)
        try:
            for opened in self._opened:
                opened.freezer.want(True)
            late = [opened.where for opened in self._opened if not opened.freezer.settled(left_s())]
        finally:
            expedite.turn(self.knob, False)
        for opened in self._opened:
            if opened.freezer.error:
                raise Refused("freeze_failed", f"{opened.where} could not be frozen: {opened.freezer.error}")
        return late[0] if late else None

    def witness(self) -> tuple[FilesystemWitness, ...]:
        """Observe each filesystem, once per disk that it lies on."""
        seen = [(opened, shows_frozen(self._ioctls, opened.fd)) for opened in self._opened]
        return tuple(
            FilesystemWitness(opened.where, disk_id, frozen) for opened, frozen in seen for disk_id in opened.target.disk_ids
        )

    def unfrozen(self) -> tuple[FilesystemWitness, ...]:
        """List each filesystem as not frozen, without asking the kernel: asking is an attempt to freeze."""
        return tuple(
            FilesystemWitness(opened.where, disk_id, False) for opened in self._opened for disk_id in opened.target.disk_ids
        )

    def thaw(self, patience_s: float) -> None:
        """Thaw all at once; wait no longer than this for one that is stuck in the kernel."""
        for opened in self._opened:
            opened.freezer.want(False)
        self.settled(patience_s)

    def settled(self, timeout_s: float) -> bool:
        """Wait until no call is stuck in the kernel any more."""
        ends_s = time.monotonic() + timeout_s
        return all([opened.freezer.settled(ends_s - time.monotonic()) for opened in self._opened])

    @property
    def errors(self) -> tuple[str, ...]:
        """What the kernel refused, with the mount point."""
        return tuple(f"{opened.where}: {opened.freezer.error}" for opened in self._opened if opened.freezer.error)

    def close(self) -> None:
        """End the threads and close everything. Only once settled; any number of times."""
        for opened in self._opened:
            opened.freezer.close()
            os.close(opened.fd)
        self._opened.clear()
        expedite.close(self.knob)
        self.knob = expedite.NO_KNOB
