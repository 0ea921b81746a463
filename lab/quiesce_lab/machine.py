"""The machine that a lab runs on: a state directory, a journal, and a reaper that undoes all of it when the lab ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from quiesce_lab import cleanup, loops, mounts
from quiesce_lab.errors import LabError
from quiesce_lab.journal import Journal, LoopEntry, MountEntry, TreeEntry
from quiesce_lab.kernel import ProcessId
from quiesce_lab.processes import Command, Process, python_env
from quiesce_lab.run import run

MEMORY_GIB = 8
"""A demo's images take about one GiB; the rest is room for everything else on the machine."""
TAKEOVER_LIMIT_S = 20.0
"""How long the reaper of a lab that has just died may take."""


def default_state_dir() -> Path:
    """Where a lab keeps its state unless told otherwise: in memory when there is plenty of it, else on a disk.

    A cloud disk confirms a flush in about a millisecond. Images on this machine's disk would have three journals below
    them, and what is measured would be those.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_mount() and shutil.disk_usage(memory).free >= MEMORY_GIB << 30
    return (memory if roomy else Path("/var/tmp")) / f"quiesce-lab-{os.getuid()}"


class Machine:
    """Everything that a lab does to its host goes through here. Use it as a context manager.

    One lab at a time owns a state directory; what a dead one left there is undone first. Raises LabError.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.absolute()
        self.journal = Journal(self.state_dir)
        self._lock = self._take_lock()
        self._processes: list[Process] = []
        try:
            cleanup.down(self.state_dir)
            self._reaper = self._start_reaper()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Undo everything and let go of the state directory. Raises LabError naming what stays."""
        try:
            cleanup.down(self.state_dir)
            for process in self._processes:
                process.wait(cleanup.DYING_LIMIT_S)
        finally:
            self._end_reaper()
            self._lock.close()

    def start(self, command: Command) -> Process:
        """Start a process that ends with the lab at the latest."""
        process = Process(command, self.journal)
        self._processes = [known for known in self._processes if known.running]
        self._processes.append(process)
        return process

    def directory(self, *parts: str) -> Path:
        """Return a directory inside of the state directory, making it when it is not there."""
        top = self.state_dir / parts[0]
        if not top.exists():
            self.journal.write(TreeEntry(str(top)))
        made = self.state_dir.joinpath(*parts)
        made.mkdir(mode=0o755, parents=True, exist_ok=True)
        return made

    def file(self, name: str) -> Path:
        """Return the path of a file that the caller is about to make in the state directory."""
        path = self.state_dir / name
        self.journal.write(TreeEntry(str(path)))
        return path

    def mount(self, mount_point: Path, *arguments: str | Path) -> None:
        """Mount with the arguments of mount(8). Raises LabError, also for a point outside of the state directory."""
        if not mount_point.is_relative_to(self.state_dir):
            raise LabError(f"{mount_point} is outside of {self.state_dir}: the lab mounts nowhere else")
        mount_point.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.journal.write(MountEntry(str(mount_point)))
        run("mount", *arguments, mount_point)

    def unmount(self, mount_point: Path) -> None:
        """Unmount; not mounted is no error."""
        mounts.unmount(mount_point)

    def attach(self, image: Path) -> Path:
        """Make an image a loop device and return the device."""
        self.journal.write(LoopEntry(str(image)))
        return loops.attach(image)

    def detach(self, image: Path) -> None:
        """Detach an image's loop device; not attached is no error."""
        loops.detach(image)

    def _take_lock(self) -> TextIO:
        give_up_at = time.monotonic() + TAKEOVER_LIMIT_S
        while True:
            lock = self._lock_now()
            if lock is not None:
                return lock
            if time.monotonic() > give_up_at:
                raise LabError(f"the reaper of a dead lab does not finish; see {self.state_dir / cleanup.REAPER_LOG}")
            time.sleep(0.05)

    def _lock_now(self) -> TextIO | None:
        """Lock the directory, unless a dead lab's reaper has it or has removed it meanwhile. Raises LabError."""
        path = self.state_dir / cleanup.LOCK
        with contextlib.suppress(FileNotFoundError):  # removed between any two of these steps
            self.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            with contextlib.ExitStack() as opened:
                lock = opened.enter_context(path.open("a+"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._insist_on_a_dead_owner(path)
                    return None
                if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                    own = ProcessId.of(os.getpid())
                    lock.truncate(0)
                    print(own.pid, own.started, file=lock, flush=True)
                    opened.pop_all()
                    return lock
        return None

    def _insist_on_a_dead_owner(self, lock: Path) -> None:
        owner = [int(number) for number in lock.read_text().split()]
        if owner and ProcessId(*owner).alive:
            raise LabError(f"another lab (pid {owner[0]}) owns {self.state_dir}: give this one another state directory")

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        """The reaper inherits the lock: no other lab comes in before it has finished."""
        with (self.state_dir / cleanup.REAPER_LOG).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "quiesce_lab.cleanup", str(self.state_dir)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env=python_env(),
                pass_fds=[self._lock.fileno()],
                start_new_session=True,
            )

    def _end_reaper(self) -> None:
        """Let the reaper finish: it finds nothing to undo and removes the state directory."""
        assert self._reaper.stdin is not None
        self._reaper.stdin.close()
        self._reaper.wait()
