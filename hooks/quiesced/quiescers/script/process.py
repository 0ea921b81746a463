"""Scripts as child processes: an argument vector and never a shell, a process group of their own, every wait bounded.

A script is run to its end (``run``), or stays and answers line by line (``Session``). The other end of a session is a
socket: whoever shuts it down, the guardian too, ends the script's input, and by that its hold.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Optional, Union

MAX_BYTES = 64 * 1024
"""The most that a script may say at once. More ends it; of what it says on standard error the end is kept."""
LOOK_S = 0.01
"""How often a wait looks at whether the script has ended and whether time is left."""
REAP_S = 1.0
"""How long a killed process may take to end: one that waits for a frozen disk ends only after the thaw."""

Left = Callable[[], float]
"""Seconds that are left; 0 or less when none are."""


class ScriptError(Exception):
    """A script did not do what it was called for; the message says what happened, and nothing of it runs any more."""


class ScriptTimeout(ScriptError):
    """A script was not done in time."""


@dataclass(frozen=True)
class Done:
    """How a script ended: exit status (of a signal: minus its number), standard output, end of standard error."""

    status: int
    output: str
    complaint: str


class _Child:
    """A process with its group. ``ended`` may be called from any thread."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], stdin: int, stdout: Union[int, socket.socket]
    ) -> None:
        """Start it. Raises ScriptError."""
        out = stdout if isinstance(stdout, int) else stdout.fileno()
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=out,
                stderr=subprocess.PIPE,
                cwd=os.sep,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise ScriptError(f"could not be started: {error}") from error
        self.pid = self._process.pid
        self._pipes: list[IO[bytes]] = [pipe for pipe in (self._process.stdout, self._process.stderr) if pipe]
        self.stdout = self._process.stdout.fileno() if self._process.stdout else out
        self.stderr = self._pipes[-1].fileno()
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def ended(self) -> bool:
        """Look without waiting, and leave it to be reaped: until then its number belongs to nobody else."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True  # reaped

    def kill(self) -> None:
        """Kill the group, which it leads, and reap it. Any number of times."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.reap()

    def reap(self) -> int:
        """Take the exit status of a process that has ended, or is about to, and close the pipes."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_S)
        for pipe in self._pipes:
            pipe.close()
        return -1 if self._process.returncode is None else self._process.returncode

    def succeeded(self) -> bool:
        """Whether a process that has ended, and was not reaped, ended with status 0."""
        try:
            seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return seen is not None and seen.si_code == os.CLD_EXITED and seen.si_status == 0


class _Listener:
    """Reads what a process says as it comes, so that no full pipe ever stops it."""

    def __init__(self, child: _Child) -> None:
        self.output = b""
        self.complaint = b""
        self._child = child
        self._open = {child.stdout, child.stderr}

    def listen(self, wait_s: float) -> None:
        """Take what is there, waiting at most so long for something. Raises ScriptError when it is too much."""
        poll = select.poll()
        for fd in self._open:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(max(0.0, wait_s) * 1000):
            self._take(fd)
        if len(self.output) > MAX_BYTES:
            raise ScriptError(f"said more than {MAX_BYTES} bytes")

    @property
    def closed(self) -> bool:
        """Whether nothing more can come on standard output."""
        return self._child.stdout not in self._open

    def last_words(self) -> str:
        """Return the last line of standard error, shortened, as the end of a message."""
        lines = self.complaint.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1][:200]}" if lines else ""

    def _take(self, fd: int) -> None:
        try:
            read = os.read(fd, MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            read = b""
        if not read:
            self._open.discard(fd)
        elif fd == self._child.stdout:
            self.output += read
        else:
            self.complaint = (self.complaint + read)[-MAX_BYTES:]


def run(argv: Sequence[str], environment: Mapping[str, str], left_s: Left) -> Done:
    """Run a script to its end. When it fails, its whole process group is killed. Raises ScriptError."""
    child = _Child(argv, environment, subprocess.DEVNULL, subprocess.PIPE)
    heard = _Listener(child)
    try:
        while not child.ended():
            if left_s() <= 0:
                raise ScriptTimeout(f"was not done in time and was killed{heard.last_words()}")
            heard.listen(min(LOOK_S, left_s()))
        _drain(heard)
    except ScriptError:
        child.kill()
        raise
    if not child.succeeded():
        child.kill()
    return Done(child.reap(), heard.output.decode("utf-8", "replace"), heard.last_words())


def _drain(heard: _Listener) -> None:
    """Take what is left in the pipes: something that the script left running may keep them open for good."""
    said = -1
    while said != len(heard.output) + len(heard.complaint):
        said = len(heard.output) + len(heard.complaint)
        heard.listen(0)


class Session:
    """A script that stays: it gets one word a line on its input and says one line for each. One thread at a time."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it. Raises ScriptError."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                self._child = _Child(argv, environment, theirs.fileno(), theirs)
            except ScriptError:
                self._socket.close()
                raise
        self._socket.setblocking(False)
        self._child.stdout = self._socket.fileno()
        self._heard = _Listener(self._child)
        self._trouble = ""
        self._ended_well: Optional[bool] = None
        self.pid = self._child.pid
        self.started = started(self.pid)

    @property
    def fd(self) -> int:
        """The socket whose shutdown ends the script's input."""
        return self._socket.fileno()

    def lost(self) -> str:
        """Say why it can no longer be asked; empty while it can. Never waits."""
        return self._trouble or ("its process has ended" if self._child.ended() else "")

    def ask(self, word: str, left_s: Left) -> str:
        """Send a word (none: only listen) and return the line that is said to it. Raises ScriptError, then for good."""
        try:
            if self.lost():
                raise ScriptError(self.lost())
            return self._ask(word, left_s)
        except ScriptError as error:
            self._trouble = str(error)
            raise

    def _ask(self, word: str, left_s: Left) -> str:
        if word:
            self._heard.listen(0)
            if self._heard.output:
                raise ScriptError("said something before it was asked")
            self._send(word)
        while b"\n" not in self._heard.output:
            if self._heard.closed or self._child.ended():
                raise ScriptError(f"ended without an answer{self._heard.last_words()}")
            if left_s() <= 0:
                raise ScriptTimeout(f"did not answer in time{self._heard.last_words()}")
            self._heard.listen(min(LOOK_S, left_s()))
        line, _, self._heard.output = self._heard.output.partition(b"\n")
        return line.decode("utf-8", "replace")

    def end(self, left_s: Left) -> bool:
        """Ask it to let go, wait, and kill its process group if it stays. Returns whether it ended with status 0."""
        if self._ended_well is None:
            with suppress(ScriptError):
                self._send("release")
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            while not self._child.ended() and left_s() > 0:
                with suppress(ScriptError):
                    self._heard.listen(min(LOOK_S, left_s()))
                self._heard.output = b""
            self._ended_well = self._child.succeeded()
            self._child.kill()
            self._socket.close()
        return self._ended_well

    def _send(self, word: str) -> None:
        try:
            self._socket.send(word.encode("ascii") + b"\n", socket.MSG_DONTWAIT)
        except OSError as error:
            raise ScriptError(f"does not listen: {error}") from error


def started(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks (proc_pid_stat(5), field 22); empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def end_orphan(pid: int, since: str, patience_s: float) -> None:
    """Give a session of a daemon that died time to end by itself, then kill its process group."""
    ends_s = time.monotonic() + patience_s
    while since and started(pid) == since:
        if time.monotonic() > ends_s:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            return
        time.sleep(LOOK_S)
