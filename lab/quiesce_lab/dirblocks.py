"""CBS disks as directories, for where mounting is not allowed. A snapshot copies files, one after the other.

A real snapshot captures one instant of a block device; this one captures each file at its own moment, so a run without
quiescing gets files that do not belong together.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine

_CHUNK = 1 << 20


class DirBlocks:
    """A BlockStore of directories. Sizes are kept by nobody."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._disks = machine.directory("disks")
        self._snapshots = machine.directory("snapshots")

    def create(self, disk_id: str, size_gib: int, *, from_snapshot: str | None = None) -> None:
        """Make a disk, empty or as a copy of a snapshot. Raises LabError."""
        disk = self._disks / disk_id
        if disk.exists():
            raise LabError(f"there is a disk {disk_id} already")
        if from_snapshot is None:
            disk.mkdir()
        else:
            _copy_tree(self._snapshots / from_snapshot, disk)

    def snapshot(self, disk_id: str, snapshot_id: str) -> None:
        """Copy the disk's files in the order of their names. Raises LabError."""
        _copy_tree(self._disks / disk_id, self._snapshots / snapshot_id)

    def copy_snapshot(self, snapshot_id: str, copy_id: str) -> None:
        """Copy a snapshot under another id. Raises LabError."""
        _copy_tree(self._snapshots / snapshot_id, self._snapshots / copy_id)

    def attach(self, disk_id: str, instance_id: str) -> None:
        """Link the directory as virtio-<disk id> in the instance. Raises LabError."""
        disk = self._disks / disk_id
        if not disk.is_dir():
            raise LabError(f"there is no disk {disk_id}")
        if self._links(disk_id):
            raise LabError(f"{disk_id} is attached already")
        by_id = self._machine.directory("instances", instance_id, "by-id")
        (by_id / f"virtio-{disk_id}").symlink_to(disk)

    def detach(self, disk_id: str) -> None:
        """Remove the disk's link from its instance. Not attached is no error."""
        for link in self._links(disk_id):
            link.unlink()

    def delete(self, disk_id: str) -> None:
        """Forget a disk. Raises LabError while it is attached."""
        if self._links(disk_id):
            raise LabError(f"{disk_id} is attached: detach it first")
        shutil.rmtree(self._disks / disk_id, ignore_errors=True)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot."""
        shutil.rmtree(self._snapshots / snapshot_id, ignore_errors=True)

    def _links(self, disk_id: str) -> list[Path]:
        """Where the disk is attached: one link, or none."""
        return list((self._machine.state_dir / "instances").glob(f"*/by-id/virtio-{disk_id}"))


def _copy_tree(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise LabError(f"there is nothing to copy at {source}")
    if target.exists():
        raise LabError(f"{target} is there already")
    for directory, names, files in os.walk(source):
        names.sort()
        copy = target / Path(directory).relative_to(source)
        copy.mkdir()
        for name in sorted(files):
            _copy_file(Path(directory, name), copy / name)


def _copy_file(source: Path, target: Path) -> None:
    """Copy block by block from front to back, as a tool on a live machine reads. A file that went away is left out."""
    try:
        reader = source.open("rb")
    except FileNotFoundError:
        return
    with reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, _CHUNK)
