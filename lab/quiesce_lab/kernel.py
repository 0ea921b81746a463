"""The few things the lab asks of the kernel itself: clone a file, thaw a filesystem, tell one process from another."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from dataclasses import dataclass
from pathlib import Path

FICLONE = 0x40049409  # linux/fs.h
FITHAW = 0xC0045878  # linux/fs.h


def clone_file(source: Path, target: Path) -> None:
    """Make ``target`` share every block that ``source`` has at this instant. Starts no process, syncs nothing.

    Raises OSError; then there is no target.
    """
    with source.open("rb", buffering=0) as origin, target.open("xb", buffering=0) as clone:
        try:
            fcntl.ioctl(clone.fileno(), FICLONE, origin.fileno())
        except OSError:
            target.unlink()
            raise


def thaw(mount_point: Path) -> bool:
    """Thaw a filesystem; return whether it was frozen. Raises OSError.

    O_NOATIME: an access time could not be written on a frozen filesystem, and the open would wait for the thaw.
    """
    fd = os.open(mount_point, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, FITHAW, 0)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # it is not frozen, or cannot be
            return False
        raise
    finally:
        os.close(fd)
    return True


@dataclass(frozen=True)
class ProcessId:
    """One process for all time: ``started`` is its start in clock ticks since boot (proc_pid_stat(5), field 22)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Identify a process that runs now. Raises OSError when there is none."""
        return cls(pid, int(_stat(pid)[19]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            fields = _stat(self.pid)
        except OSError:
            return False
        return int(fields[19]) == self.started and fields[0] not in "ZX"


def session_of(leader: ProcessId) -> tuple[ProcessId, ...]:
    """Find every running process of the session that ``leader`` began.

    A number in use as a session's id is given to no new process, so the session is ours also when its leader is gone.
    """
    if _taken_by_another(leader):
        return ()
    members = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(_stat(int(entry.name))[3]) == leader.pid:
                members.append(ProcessId.of(int(entry.name)))
        except OSError:
            continue  # it ended meanwhile
    return tuple(member for member in members if member.alive and member.started >= leader.started)


def send_signal(process: ProcessId, number: signal.Signals) -> None:
    """Signal this very process, and never one that got its number later. A process that is gone is no error."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive:
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def _taken_by_another(leader: ProcessId) -> bool:
    try:
        return int(_stat(leader.pid)[19]) != leader.started
    except OSError:
        return False


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third (state) on; the name before it may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
