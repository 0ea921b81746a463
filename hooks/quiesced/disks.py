"""Which disk a filesystem or a path lies on, from what the kernel shows in /proc and /sys. Changes nothing.

A filesystem is named here by the device number that /proc/self/mountinfo shows for it ("254:16"): all mounts of one
filesystem share it, btrfs subvolumes and bind mounts included (proc_pid_mountinfo(5), field 3).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

_DISK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_OCTAL = re.compile(r"\\([0-7]{3})")
_FURTHER_DEVICES = ("logdev", "rtdev", "journal_path")
"""Mount options that name further devices of one filesystem: xfs(5), ext4(5)."""


@dataclass(frozen=True)
class Mount:
    """One row of mountinfo. ``device`` is the filesystem's device number, ``source`` what was mounted."""

    mount_id: int
    device: str
    root: str
    mount_point: str
    type: str
    source: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a path lies: mount point, the block device mounted there by the kernel's name, and the CBS disk id."""

    mount_point: str | None
    device: str | None
    disk_id: str | None


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Read /proc/self/mountinfo, in the kernel's order: a later mount on the same point covers an earlier one."""
    return tuple(_row(line) for line in text.splitlines() if line)


def _row(line: str) -> Mount:
    fields = line.split(" ")
    dash = fields.index("-", 6)
    mount_id, _, device, root, mount_point = fields[:5]
    type_, source, options = fields[dash + 1 : dash + 4]
    return Mount(
        int(mount_id),
        device,
        _plain(root),
        _plain(mount_point),
        type_,
        _plain(source),
        tuple(map(_plain, options.split(","))),
    )


def _plain(field: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), field)


def mount_id_of(path: Path) -> int:
    """Return the id of the mount that ``path`` lies on; opens nothing for reading. Raises OSError.

    The kernel shows it for an O_PATH descriptor in fdinfo (proc_pid_fdinfo(5)).
    """
    fd = os.open(str(path), os.O_PATH | os.O_CLOEXEC)
    try:
        return mount_id_of_fd(fd)
    finally:
        os.close(fd)


def mount_id_of_fd(fd: int) -> int:
    """Return the id of the mount that an open file lies on."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))


class Disks:
    """CBS disks, block devices and mounts of this machine. Every call looks afresh."""

    def __init__(
        self,
        by_id_dir: Path,
        *,
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
        mount_id_of: Callable[[Path], int] = mount_id_of,
    ) -> None:
        self._by_id_dir = by_id_dir
        self._proc = proc
        self._sys = sys
        self._mount_id_of = mount_id_of

    def mounts(self) -> tuple[Mount, ...]:
        """Every mount that this process sees."""
        return parse_mountinfo((self._proc / "self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))

    def attached(self) -> tuple[str, ...]:
        """Ids of every data or system disk that is attached, in the order of their names; partitions are none."""
        names = sorted(link.name for link in self._by_id_dir.glob("virtio-disk-*"))
        return tuple(name[len("virtio-") :] for name in names if "-part" not in name)

    def device_of(self, disk_id: str) -> str | None:
        """Device number of an attached disk; None when no block device has this id."""
        if not _DISK_ID.fullmatch(disk_id):
            return None
        return self._device_named(Path(os.path.realpath(self._by_id_dir / f"virtio-{disk_id}")).name)

    def disks_under(self, mount: Mount) -> frozenset[str]:
        """Every disk id that a filesystem lies on: one for a plain disk or partition, several for RAID or LVM.

        A device below it that has no disk id is named by its number, so that it is never mistaken for nothing.
        """
        ids = self._disk_ids()
        devices = {base for device in self._devices_of(mount) for base in self._base_devices(device)}
        return frozenset(ids.get(device, device) for device in devices)

    def locate(self, path: Path, mounts: Sequence[Mount] | None = None) -> Mount | None:
        """Find the mount that a path lies on, or will lie on once it exists; None when it cannot be told.

        ``mounts`` spares reading them again for every one of many paths.
        """
        real = Path(os.path.realpath(path))
        while not real.exists():
            real = real.parent
        try:
            mount_id = self._mount_id_of(real)
        except OSError:
            return None
        return next((mount for mount in mounts or self.mounts() if mount.mount_id == mount_id), None)

    def place_of(self, path: Path) -> Place:
        """Find where a path lies. The first disk by name when the filesystem lies on several."""
        mount = self.locate(path)
        if mount is None:
            return Place(None, None, None)
        known = set(self._disk_ids().values())
        disk_id = min(known & self.disks_under(mount), default=None)
        return Place(mount.mount_point, Path(os.path.realpath(mount.source)).name, disk_id)

    def _disk_ids(self) -> dict[str, str]:
        """Device number to disk id, of every attached disk."""
        links = self._by_id_dir.glob("virtio-*") if self._by_id_dir.is_dir() else iter(())
        ids = {link.name[len("virtio-") :] for link in links}
        devices = {disk_id: self.device_of(disk_id) for disk_id in ids}
        return {device: disk_id for disk_id, device in devices.items() if device}

    def _devices_of(self, mount: Mount) -> Iterator[str]:
        """Device numbers of the block devices that make up one filesystem."""
        if not mount.device.startswith("0:"):
            yield mount.device
        elif mount.type == "btrfs":  # its number is anonymous; the real devices are in its own corner of sysfs
            yield from self._btrfs_devices(Path(os.path.realpath(mount.source)).name)
        for option in mount.options:
            key, _, value = option.partition("=")
            device = self._device_named(Path(os.path.realpath(value)).name) if key in _FURTHER_DEVICES else None
            if device:
                yield device

    def _btrfs_devices(self, source: str) -> Iterator[str]:
        members = [found.parent for found in (self._sys / "fs/btrfs").glob(f"*/devices/{source}")]
        names = {entry.name for member in members for entry in member.iterdir()} | {source}
        for name in names:
            device = self._device_named(name)
            if device:
                yield device

    def _base_devices(self, device: str) -> Iterator[str]:
        """Whole disks below a block device: a partition's parent, the members of RAID, LVM or dm."""
        directory = Path(os.path.realpath(self._sys / "dev/block" / device))
        members = sorted((directory / "slaves").iterdir()) if (directory / "slaves").is_dir() else []
        if (directory / "partition").exists():
            yield from self._base_devices(_number(directory.parent))
        elif members:
            for member in members:
                yield from self._base_devices(_number(Path(os.path.realpath(member))))
        else:
            yield device

    def _device_named(self, name: str) -> str | None:
        """Device number of a kernel block device name such as vdb; None when there is none."""
        directory = self._sys / "class/block" / name.replace("/", "!")
        return _number(directory) if name and (directory / "dev").is_file() else None


def _number(directory: Path) -> str:
    return (directory / "dev").read_text(encoding="ascii").strip()
