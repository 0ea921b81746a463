"""What the lab's cloud asks of the machine: real block devices behind CBS disks."""

from __future__ import annotations

from typing import Any, Protocol


class BlockStore(Protocol):
    """CBS disks as block devices. Raises LabError when the machine refuses."""

    def create(self, disk_id: str, size_gib: int, *, from_snapshot: str | None = None) -> None:
        """Make a disk, empty or as a clone of a snapshot."""

    def snapshot(self, disk_id: str, snapshot_id: str) -> None:
        """Clone the disk's image at this instant. Never syncs, never freezes, never waits for writers."""

    def attach(self, disk_id: str, instance_id: str) -> None:
        """Make the disk a block device of the instance, found there by its disk id as on a CVM."""

    def copy_snapshot(self, snapshot_id: str, copy_id: str) -> None:
        """Copy a snapshot's image under another id."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot's image."""


class Disks(BlockStore, Protocol):
    """Disks whose owner can take them away again, too; no API call of the lab's does that."""

    def detach(self, disk_id: str) -> None:
        """Take a disk from its instance."""

    def delete(self, disk_id: str) -> None:
        """Forget a disk's image."""


class Invokable(Protocol):
    """A function of SCF, as the API of SCF sees it."""

    def enqueue(self, event: Any, request_id: str) -> None:
        """Take an asynchronous event: it is delivered at least once."""

    def call(self, event: Any) -> tuple[Any, str]:
        """Run one synchronous invocation to its end; returns its value, and its error if it raised one."""


class Shell(Protocol):
    """What runs a command on an instance, as TAT's agent does."""

    def __call__(self, script: bytes, *, directory: str, timeout_s: float) -> tuple[int | None, bytes]:
        """Run a shell script in ``directory``; returns its exit status, None when it was stopped, and its output."""
