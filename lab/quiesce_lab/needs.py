"""What a machine must have for a lab with real disks, and what is missing on this one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CAP_SYS_ADMIN = 21  # capabilities(7): mount, loop devices, freeze
_TOOLS = {
    "losetup": "losetup (Debian: mount)",
    "mount": "mount",
    "umount": "umount (Debian: mount)",
    "mkfs.ext4": "mkfs.ext4 (Debian: e2fsprogs)",
    "mariadbd": "mariadbd (Debian: mariadb-server-core)",
    "mariadb-install-db": "mariadb-install-db (Debian: mariadb-server-core)",
}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the tools lie; a user's own PATH often lacks the sbin directories."""


@dataclass(frozen=True)
class Needs:
    """``missing`` is empty when the machine can run the lab with real disks and a real database server."""

    missing: tuple[str, ...]

    @property
    def met(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def reason(self) -> str:
        """One line that says what is missing."""
        return "; ".join(self.missing) or "nothing is missing"


def look() -> Needs:
    """Look at this machine; changes nothing."""
    return Needs((*_privileges(), *_tools()))


def which(tool: str) -> str | None:
    """Find a tool, also in the directories that only root's PATH has."""
    return shutil.which(tool, path=os.pathsep.join((os.environ.get("PATH", ""), _SYSTEM_PATH)))


def _privileges() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "root"
    elif not _may_administer():
        yield "the capability CAP_SYS_ADMIN (this container may not mount)"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        yield "loop devices (/dev/loop-control)"


def _may_administer() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def _tools() -> Iterator[str]:
    yield from (hint for tool, hint in _TOOLS.items() if which(tool) is None)
    if which("mkfs.xfs") is None and which("mkfs.btrfs") is None:
        yield "mkfs.xfs or mkfs.btrfs (Debian: xfsprogs, btrfs-progs)"
