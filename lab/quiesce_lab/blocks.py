"""CBS disks as real block devices: images in the pool, attached as loop devices, cloned in one system call."""

from __future__ import annotations

import os
from pathlib import Path

from quiesce_lab import kernel, loops
from quiesce_lab.errors import LabError
from quiesce_lab.pool import Pool, make_sparse


def by_id_dir(state_dir: Path, instance_id: str) -> Path:
    """Where an instance of the lab finds its disks, as /dev/disk/by-id on a CVM."""
    return state_dir / "instances" / instance_id / "by-id"


class LoopBlocks:
    """A BlockStore of loop devices on images in a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._machine = pool.machine

    def create(self, disk_id: str, size_gib: int, *, from_snapshot: str | None = None) -> None:
        """Make a disk, empty or as a clone of a snapshot that is at most as big. Raises LabError."""
        image = self._image(disk_id)
        if from_snapshot is None:
            make_sparse(image, size_gib)
            return
        _clone(self._snapshot_image(from_snapshot), image)
        if image.stat().st_size > size_gib << 30:
            image.unlink()
            raise LabError(f"{disk_id} cannot be {size_gib} GiB: snapshot {from_snapshot} is bigger")
        os.truncate(image, size_gib << 30)

    def snapshot(self, disk_id: str, snapshot_id: str) -> None:
        """Clone the disk's image at this instant, in one system call. Raises LabError."""
        _clone(self._image(disk_id), self._snapshot_image(snapshot_id))

    def copy_snapshot(self, snapshot_id: str, copy_id: str) -> None:
        """Copy a snapshot's image under another id. Raises LabError."""
        _clone(self._snapshot_image(snapshot_id), self._snapshot_image(copy_id))

    def attach(self, disk_id: str, instance_id: str) -> None:
        """Attach the disk as a loop device and link it as virtio-<disk id> in the instance. Raises LabError."""
        image = self._image(disk_id)
        if not image.exists():
            raise LabError(f"there is no disk {disk_id}")
        if loops.devices_of(image):
            raise LabError(f"{disk_id} is attached already")
        device = self._machine.attach(image)
        link = self._machine.directory("instances", instance_id, "by-id") / f"virtio-{disk_id}"
        link.unlink(missing_ok=True)
        link.symlink_to(device)

    def detach(self, disk_id: str) -> None:
        """Detach the disk from its instance; it must not be mounted. Not attached is no error."""
        self._machine.detach(self._image(disk_id))
        for link in (self._machine.state_dir / "instances").glob(f"*/by-id/virtio-{disk_id}"):
            link.unlink()

    def delete(self, disk_id: str) -> None:
        """Forget a disk's image. Raises LabError while it is attached."""
        if loops.devices_of(self._image(disk_id)):
            raise LabError(f"{disk_id} is attached: detach it first")
        self._image(disk_id).unlink(missing_ok=True)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot's image."""
        self._snapshot_image(snapshot_id).unlink(missing_ok=True)

    def _image(self, disk_id: str) -> Path:
        return self._pool.disks / f"{disk_id}.img"

    def _snapshot_image(self, snapshot_id: str) -> Path:
        return self._pool.snapshots / f"{snapshot_id}.img"


def _clone(source: Path, target: Path) -> None:
    try:
        kernel.clone_file(source, target)
    except OSError as error:
        raise LabError(f"cannot clone {source.stem} to {target.stem}: {error.strerror}") from error
