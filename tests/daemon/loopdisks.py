"""Real disks for tests: image files behind loop devices, formatted, mounted, and found by disk id.

A rescuer process holds every mount point open from the start and thaws it when this process ends, however it ends.
Cleaning up thaws before it unmounts: a filesystem that is unmounted while frozen stays frozen (facts of fs/super.c).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from quiesced.freeze import LinuxIoctls, shows_frozen, thaw_if_frozen
from tests.waiting import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and freezing need root")
SIZE_MIB = {"ext4": 64, "xfs": 300, "btrfs": 128}
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
RESCUER = """
import fcntl, sys
fds = [int(fd) for fd in sys.argv[1:]]
sys.stdin.read()
for fd in fds:
    try:
        fcntl.ioctl(fd, 0xC0045878, 0)
    except OSError:
        pass
"""


@dataclass(frozen=True)
class LoopDisk:
    """One disk with one mounted filesystem."""

    disk_id: str
    device: str
    mount_point: Path
    type: str


@dataclass(frozen=True)
class LoopDisks:
    """Several disks and the directory where they are found by id."""

    by_id_dir: Path
    disks: tuple[LoopDisk, ...]

    def is_frozen(self, number: int = 0) -> bool:
        """Whether a disk's filesystem is frozen. Call only when nobody is about to freeze it."""
        with self.opened(number) as fd:
            return shows_frozen(LinuxIoctls(), fd)

    @contextlib.contextmanager
    def opened(self, number: int = 0) -> Iterator[int]:
        """Hold a descriptor of a disk's filesystem."""
        fd = os.open(self.disks[number].mount_point, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def frozen(self, number: int = 0) -> Iterator[None]:
        """Freeze a disk's filesystem, all of it written out before, so that the first write to any page has to ask."""
        with self.opened(number) as fd:
            LinuxIoctls().sync(fd)
            LinuxIoctls().freeze(fd)
            try:
                yield
            finally:
                LinuxIoctls().thaw(fd)


@contextlib.contextmanager
def loop_disks(where: Path, types: Sequence[str] = ("ext4",), size_mib: int = 0) -> Iterator[LoopDisks]:
    """Make, format, attach and mount one disk per filesystem type below ``where``; undo all of it at the end.

    They are as small as the type allows, unless ``size_mib`` says otherwise.
    """
    by_id_dir = where / "by-id"
    by_id_dir.mkdir(parents=True)
    with contextlib.ExitStack() as undo:
        disks = tuple(undo.enter_context(_disk(where, by_id_dir, f"disk-{n}", t, size_mib)) for n, t in enumerate(types))
        undo.enter_context(_rescuer([disk.mount_point for disk in disks]))
        yield LoopDisks(by_id_dir, disks)


@contextlib.contextmanager
def _disk(where: Path, by_id_dir: Path, disk_id: str, type_: str, size_mib: int) -> Iterator[LoopDisk]:
    image, mount_point = where / f"{disk_id}.img", where / disk_id
    mount_point.mkdir()
    with image.open("wb") as file:
        file.truncate((size_mib or SIZE_MIB[type_]) << 20)
    _run(*MKFS[type_], str(image))
    device = _run("losetup", "--find", "--show", str(image))
    try:
        (by_id_dir / f"virtio-{disk_id}").symlink_to(device)
        _run("mount", device, str(mount_point))
        try:
            yield LoopDisk(disk_id, device, mount_point, type_)
        finally:
            _thaw(mount_point)
            wait_until(lambda: _unmount(mount_point))
    finally:
        _run("losetup", "--detach", device)
        image.unlink()


@contextlib.contextmanager
def _rescuer(mount_points: Sequence[Path]) -> Iterator[None]:
    fds = [os.open(mount_point, os.O_RDONLY) for mount_point in mount_points]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", RESCUER, *map(str, fds)],
        stdin=subprocess.PIPE,
        pass_fds=fds,
        start_new_session=True,
    )
    for fd in fds:
        os.close(fd)
    try:
        yield
    finally:
        process.communicate()


def _unmount(mount_point: Path) -> bool:
    """Try to unmount; a guardian whose daemon a test has killed may need a moment to leave."""
    return subprocess.run(["umount", str(mount_point)], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _thaw(mount_point: Path) -> None:
    fd = os.open(mount_point, os.O_RDONLY)
    try:
        thaw_if_frozen(LinuxIoctls(), fd)
    finally:
        os.close(fd)


def _run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout.strip()
