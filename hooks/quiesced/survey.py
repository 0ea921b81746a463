"""What a hold on these disks would freeze, and what speaks against it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quiesced import safety
from quiesced.config import Config
from quiesced.disks import Disks, Mount, Place, mount_id_of_fd
from quiesced.errors import Refused
from quiesced.messages import Filesystem, Refusal

OPEN_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Target:
    """One filesystem to freeze, through one of its mounts, and every asked-for disk that it lies on."""

    mount: Mount
    disk_ids: tuple[str, ...]

    @property
    def filesystems(self) -> tuple[Filesystem, ...]:
        """The same in the words of the protocol: one entry per disk."""
        return tuple(Filesystem(self.mount.mount_point, disk_id, self.mount.type) for disk_id in self.disk_ids)


@dataclass(frozen=True)
class Survey:
    """What a hold would freeze, and everything that refuses it."""

    targets: tuple[Target, ...]
    refusals: tuple[Refusal, ...]


class Surveyor(Protocol):
    """Knows the disks of this machine. Changes nothing."""

    def survey(self, disk_ids: Sequence[str]) -> Survey:
        """Find the filesystems on these disks; a disk without one has nothing to freeze."""

    def find(self, device: str) -> Target | None:
        """Find a mounted filesystem by its device number, whatever disks it lies on; None when there is none."""

    def place_of(self, path: Path) -> Place:
        """Find where a path lies, or will lie once it exists."""

    def open(self, target: Target) -> int:
        """Open a filesystem for freezing and make sure that it is the one meant. Raises Refused(unsafe_mount)."""


class LinuxSurveyor:
    """The machine as /proc and /sys show it."""

    def __init__(self, config: Config, disks: Disks | None = None) -> None:
        self._config = config
        self._disks = disks or Disks(config.disk_by_id_dir)

    def survey(self, disk_ids: Sequence[str]) -> Survey:
        """See Surveyor."""
        unknown = [disk_id for disk_id in disk_ids if self._disks.device_of(disk_id) is None]
        refusals = [_unknown(disk_id, self._config.disk_by_id_dir) for disk_id in unknown]
        mounts = self._disks.mounts()
        never = safety.reasons(mounts, lambda path: self._disks.locate(path, mounts), safety.paths_in_use(self._config))
        targets = []
        for same in _by_filesystem(mounts):
            under = self._disks.disks_under(same[0])
            if under & set(disk_ids):
                targets.append(Target(self._reachable(same) or same[0], tuple(sorted(under & set(disk_ids)))))
                refusals.extend(self._against(same, sorted(under - set(disk_ids)), never))
        return Survey(tuple(targets), tuple(refusals))

    def find(self, device: str) -> Target | None:
        """See Surveyor."""
        mount = self._reachable([mount for mount in self._disks.mounts() if mount.device == device])
        return Target(mount, ()) if mount else None

    def place_of(self, path: Path) -> Place:
        """See Surveyor."""
        return self._disks.place_of(path)

    def open(self, target: Target) -> int:
        """See Surveyor."""
        mount = target.mount
        try:
            fd = _open_quietly(mount.mount_point)
        except OSError as error:
            raise Refused("unsafe_mount", f"{mount.mount_point} cannot be opened: {error}") from error
        number = os.fstat(fd).st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        expected = device if mount.type == "btrfs" else mount.device  # btrfs numbers each subvolume by itself
        if mount_id_of_fd(fd) != mount.mount_id or device != expected:
            os.close(fd)
            raise Refused("unsafe_mount", f"{mount.mount_point} is no longer the filesystem {mount.device}; run again")
        return fd

    def _reachable(self, same: Sequence[Mount]) -> Mount | None:
        """Return a mount of this filesystem that no other mount covers; rather one that shows all of it."""
        seen = [mount for mount in same if self._is_visible(mount)]
        return next((mount for mount in seen if mount.root == "/"), seen[0] if seen else None)

    def _is_visible(self, mount: Mount) -> bool:
        found = self._disks.locate(Path(mount.mount_point))
        return found is not None and found.mount_id == mount.mount_id

    def _against(self, same: Sequence[Mount], elsewhere: Sequence[str], never: safety.Reasons) -> Iterator[Refusal]:
        mount = same[0]
        why = safety.why_not(mount, never)
        if why:
            yield Refusal("unsafe_mount", f"{mount.mount_point} may not be frozen: {why}")
        elif elsewhere:
            others = ", ".join(elsewhere)
            yield Refusal("unsafe_mount", f"{mount.mount_point} also lies on {others}; ask for all of its disks together")
        elif self._reachable(same) is None:
            yield Refusal("unsafe_mount", f"{mount.mount_point} cannot be reached: another mount covers it")


def _open_quietly(mount_point: str) -> int:
    """Open a mount point without leaving a trace on its filesystem.

    Only its owner, or who has CAP_FOWNER, may ask for O_NOATIME (open(2)). Without it the difference is none as long
    as nobody reads the directory through this descriptor: opening alone changes no access time.
    """
    try:
        return os.open(mount_point, OPEN_FLAGS | os.O_NOATIME)
    except PermissionError:
        return os.open(mount_point, OPEN_FLAGS)


def _by_filesystem(mounts: Sequence[Mount]) -> list[list[Mount]]:
    """Group mounts by filesystem, in the kernel's order."""
    grouped: dict[str, list[Mount]] = {}
    for mount in mounts:
        grouped.setdefault(mount.device, []).append(mount)
    return list(grouped.values())


def _unknown(disk_id: str, by_id_dir: Path) -> Refusal:
    return Refusal(
        "unknown_disk", f"no block device is attached as {by_id_dir}/virtio-{disk_id}; check the disk id and attachment"
    )
