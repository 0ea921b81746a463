"""The machine of an instance that exists only in memory: its kernel and disks, and the journal of what happened.

The kernel refuses what cannot be: thawing what is not frozen, and freezing twice.
Descriptors are real (of directories), so that using one after it was closed fails as it would in the daemon.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from quiesced.disks import Mount, Place
from quiesced.messages import Refusal
from quiesced.survey import Survey, Target


class Journal:
    """What happened, in order, from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[str] = []

    def note(self, entry: str) -> None:
        with self._lock:
            self._entries.append(entry)

    @property
    def entries(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._entries)

    def has(self, entry: str) -> bool:
        return entry in self.entries


class FakeKernel:
    """Filesystems that freeze and thaw as Linux does it, by the inode that a descriptor is open on."""

    def __init__(self, journal: Journal) -> None:
        self.refuses: dict[str, int] = {}
        """Directory name to the errno that freezing it fails with."""
        self.stuck: dict[str, threading.Event] = {}
        """Directory name to the event that a freeze of it waits for in the kernel."""
        self.sync_fails = False
        self.sync_waits: threading.Event | None = None
        """What a sync waits for in the kernel, as on a disk that does not answer."""
        self._journal = journal
        self._frozen: set[str] = set()
        self._lock = threading.Lock()

    def freeze(self, fd: int) -> None:
        name = self._name(fd)
        if name in self.stuck:
            self.stuck[name].wait()
        if name in self.refuses:
            raise OSError(self.refuses[name], os.strerror(self.refuses[name]))
        with self._lock:
            if name in self._frozen:
                raise OSError(errno.EBUSY, "already frozen")
            self._frozen.add(name)
        self._journal.note(f"freeze {name}")

    def thaw(self, fd: int) -> None:
        name = self._name(fd)
        with self._lock:
            if name not in self._frozen:
                raise OSError(errno.EINVAL, "not frozen")
            self._frozen.remove(name)
        self._journal.note(f"thaw {name}")

    def sync(self, fd: int) -> None:
        if self.sync_fails:
            raise OSError(errno.EIO, "disk on fire")
        if self.sync_waits:
            self.sync_waits.wait()
        self._journal.note(f"sync {self._name(fd)}")

    def write_back(self, fd: int) -> None:
        self._journal.note(f"write back {self._name(fd)}")

    @property
    def frozen(self) -> set[str]:
        with self._lock:
            return set(self._frozen)

    def by_hand(self, name: str, *, frozen: bool) -> None:
        """Freeze or thaw from outside, as an operator with fsfreeze would."""
        with self._lock:
            assert (name in self._frozen) != frozen, f"{name} is already so"
            (self._frozen.add if frozen else self._frozen.remove)(name)

    def _name(self, fd: int) -> str:
        os.fstat(fd)  # a descriptor that was closed fails here, as in the kernel
        return Path(f"/proc/self/fd/{fd}").readlink().name


class FakeDisks:
    """Disks disk-0 and disk-1 with one filesystem each, which are directories."""

    def __init__(self, root: Path) -> None:
        self.refusals: tuple[Refusal, ...] = ()
        self._directories = {disk_id: root / disk_id for disk_id in ("disk-0", "disk-1")}
        for directory in self._directories.values():
            directory.mkdir(exist_ok=True)

    def survey(self, disk_ids: Sequence[str]) -> Survey:
        return Survey(tuple(self._target(disk_id) for disk_id in disk_ids), self.refusals)

    def find(self, device: str) -> Optional[Target]:
        return next((self._target(disk_id) for disk_id in self._directories if device == f"dev:{disk_id}"), None)

    def place_of(self, path: Path) -> Place:
        found = [(disk_id, home) for disk_id, home in self._directories.items() if home in (path, *path.parents)]
        return Place(str(found[0][1]), "fake", found[0][0]) if found else Place(None, None, None)

    def open(self, target: Target) -> int:
        return os.open(target.mount.mount_point, os.O_RDONLY | os.O_DIRECTORY)

    def _target(self, disk_id: str) -> Target:
        mount = Mount(1, f"dev:{disk_id}", "/", str(self._directories[disk_id]), "ext4", "/dev/fake", ())
        return Target(mount, (disk_id,))
