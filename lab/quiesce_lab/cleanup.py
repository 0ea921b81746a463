"""Undo everything that a lab did to this machine, from its journal, in reverse. Any number of times, also after a crash.

Run as ``python -m quiesce_lab.cleanup STATE_DIR`` it is the lab's reaper: it waits until its standard input ends, which
happens when the lab does, however it ends, and then undoes what is left.

Order: processes are told to die, then every mount is thawed, because a process that waits for a frozen filesystem
cannot die before that and because a frozen filesystem unmounts but stays frozen. Then everything in reverse.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from quiesce_lab import kernel, loops, mounts
from quiesce_lab.errors import LabError
from quiesce_lab.journal import Entry, Journal, LoopEntry, MountEntry, ProcessEntry, TreeEntry

LOCK = "lab.lock"
"""The living lab and its reaper hold a lock on this file, so one lab at a time owns a state directory."""
REAPER_LOG = "reaper.log"
DYING_LIMIT_S = 30.0
"""A killed database server first finishes the write that it is in."""


def down(state_dir: Path) -> None:
    """Undo the journal of a state directory and forget it. Nothing that is not in the journal is touched.

    Raises LabError naming what could not be undone; the journal is then kept, and calling again goes on.
    """
    if not state_dir.is_dir():
        return
    with _one_at_a_time(state_dir):
        journal = Journal(state_dir)
        entries = journal.read()
        _end_processes([entry for entry in entries if isinstance(entry, ProcessEntry)], _thawing(entries))
        for entry in reversed(entries):
            _undo(entry)
        journal.forget()


def sweep(state_dir: Path) -> None:
    """Undo the journal, and remove the state directory too unless a living lab owns it. Raises LabError."""
    if not state_dir.is_dir():
        return
    with (state_dir / LOCK).open("a") as lock:
        down(state_dir)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_state_dir(state_dir)


def end(leader: kernel.ProcessId) -> None:
    """Tell a process and its whole session to die; does not wait."""
    for member in kernel.session_of(leader):
        kernel.send_signal(member, signal.SIGKILL)


def _remove_state_dir(state_dir: Path) -> None:
    """Remove the directory when nothing but the lab's own small files is left in it; the caller has the lock."""
    for name in (REAPER_LOG, LOCK):
        (state_dir / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds something that is not the lab's
        state_dir.rmdir()


def _thawing(entries: tuple[Entry, ...]) -> tuple[Path, ...]:
    return tuple(Path(entry.mount_point) for entry in entries if isinstance(entry, MountEntry))


def _end_processes(entries: list[ProcessEntry], mount_points: tuple[Path, ...]) -> None:
    leaders = [kernel.ProcessId(entry.pid, entry.started) for entry in entries]
    give_up_at = time.monotonic() + DYING_LIMIT_S
    while True:
        for leader in leaders:
            end(leader)
        _thaw_all(mount_points)
        left = [member.pid for leader in leaders for member in kernel.session_of(leader)]
        if not left:
            return
        if time.monotonic() > give_up_at:
            raise LabError(f"processes do not end after SIGKILL: {left}; see what they wait for in /proc/PID/stack")
        time.sleep(0.02)


def _thaw_all(mount_points: tuple[Path, ...]) -> None:
    mounted = mounts.mount_points()
    for mount_point in mount_points:
        if mount_point in mounted:
            kernel.thaw(mount_point)


def _undo(entry: Entry) -> None:
    match entry:
        case MountEntry(mount_point):
            mounts.unmount(Path(mount_point))
        case LoopEntry(image):
            _detach(Path(image))
        case TreeEntry(path):
            _remove(Path(path))
        case ProcessEntry():
            pass  # ended before anything else was undone


def _detach(image: Path) -> None:
    """Detach and wait: losetup answers at once, but a device that is still busy goes only when it is free."""
    give_up_at = time.monotonic() + mounts.BUSY_LIMIT_S
    loops.detach(image)
    while loops.devices_of(image):
        if time.monotonic() > give_up_at:
            raise LabError(f"{loops.devices_of(image)[0]} stays attached to {image}: something still uses it")
        time.sleep(0.02)


def _remove(path: Path) -> None:
    inside = [point for point in mounts.mount_points() if point.is_relative_to(path)]
    if inside:
        raise LabError(f"{path} is not removed: {inside[0]} is still mounted")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _one_at_a_time(state_dir: Path) -> Iterator[None]:
    """Keep the reaper and an operator's ``down`` from undoing the same thing twice at once."""
    fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def main() -> int:
    """Wait for the end of the lab, then undo what is left; the exit status is 1 when something stays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    try:
        down(Path(sys.argv[1]))
        _remove_state_dir(Path(sys.argv[1]))  # the lock came down from the lab, and nobody else has it yet
    except (LabError, OSError) as error:
        print(f"quiesce-lab: not everything could be undone: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
