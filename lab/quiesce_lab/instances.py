"""The inside of an instance: its disks by id, its filesystems, its memory-backed /run."""

from __future__ import annotations

from pathlib import Path

from quiesce_lab.blocks import by_id_dir
from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine
from quiesce_lab.run import run

# The images are fresh holes, so writing zeroes or discarding blocks would be work for nothing, and ext4's lazy
# initialisation would write in the background of whatever is measured.
_MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0,assume_storage_prezeroed=1"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
}
# A clone has the UUID of its origin; xfs refuses a second one, and ext4 does not know the option (xfs(5)).
_MOUNT_OPTIONS = {"ext4": "noatime", "xfs": "noatime,nouuid"}


class Instance:
    """A CVM instance of the lab: a directory that stands for its root, and the disks that are attached to it."""

    def __init__(self, machine: Machine, instance_id: str, *, in_memory_run: bool = True) -> None:
        """``in_memory_run`` mounts a tmpfs for sockets and state; without the right to mount it is a directory."""
        self.instance_id = instance_id
        self._machine = machine
        self.root = machine.directory("instances", instance_id)
        self.by_id_dir = by_id_dir(machine.state_dir, instance_id)
        self.by_id_dir.mkdir(exist_ok=True)
        self.log_dir = machine.directory("instances", instance_id, "log")
        self.run_dir = machine.directory("instances", instance_id, "run")
        if in_memory_run:
            machine.mount(self.run_dir, "-t", "tmpfs", "-o", "size=64m,mode=755", "quiesce-lab-run")

    def device(self, disk_id: str) -> Path:
        """Block device (or directory) of an attached disk. Raises LabError."""
        link = self.by_id_dir / f"virtio-{disk_id}"
        if not link.exists():
            raise LabError(f"{disk_id} is not attached to {self.instance_id}")
        return link.resolve()

    def format(self, disk_id: str, fs: str) -> None:
        """Make an ext4 or xfs filesystem on an attached disk. Raises LabError."""
        if fs not in _MAKERS:
            raise LabError(f"the lab makes {' or '.join(_MAKERS)}, not {fs}")
        run(*_MAKERS[fs], self.device(disk_id))

    def mount(self, disk_id: str, path: str | Path) -> Path:
        """Mount an attached disk below the instance's root and return the mount point. Raises LabError.

        A clone is mounted as it is: replaying its journal is part of the proof. A disk that is a directory is linked.
        """
        mount_point = self.root / Path(path).relative_to(Path(path).anchor)
        device = self.device(disk_id)
        if device.is_dir():
            mount_point.symlink_to(device)
            return mount_point
        kind = run("blkid", "-p", "-o", "value", "-s", "TYPE", device).strip()
        self._machine.mount(mount_point, "-t", kind, "-o", _MOUNT_OPTIONS[kind], device)
        return mount_point

    def unmount(self, path: str | Path) -> None:
        """Unmount what ``mount`` mounted there. Not mounted is no error."""
        mount_point = self.root / Path(path).relative_to(Path(path).anchor)
        if mount_point.is_symlink():
            mount_point.unlink()
        else:
            self._machine.unmount(mount_point)
