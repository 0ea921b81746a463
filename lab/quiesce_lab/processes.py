"""Processes of the lab: known to the journal before they do anything, in a session of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quiesce_lab import cleanup
from quiesce_lab.errors import LabError
from quiesce_lab.journal import Journal, ProcessEntry
from quiesce_lab.kernel import ProcessId

_GATE = 'read -r _ && exec "$@"'
"""The child waits for a line, which is sent once the journal has its pid; if the lab dies first, it ends instead."""


@dataclass(frozen=True)
class Command:
    """What to run. ``log`` gets standard output and standard error, appended."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path = Path("/")


class Process:
    """A running process. Its standard input stays open for as long as the lab lives: an end of it means stop."""

    def __init__(self, command: Command, journal: Journal) -> None:
        self.name = command.name
        with command.log.open("ab") as log:
            self._popen = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "sh", *map(str, command.argv)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                env=None if command.env is None else dict(command.env),
                start_new_session=True,
            )
        self.id = ProcessId.of(self._popen.pid)
        journal.write(ProcessEntry(self.id.pid, self.id.started, command.name))
        self._open_gate()

    def _open_gate(self) -> None:
        stdin = self._popen.stdin
        assert stdin is not None
        stdin.write(b"go\n")
        stdin.flush()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its session with SIGKILL, and wait. Any number of times."""
        cleanup.end(self.id)
        self._popen.kill()
        self.wait(cleanup.DYING_LIMIT_S)

    def kill_alone(self) -> None:
        """End this one process with SIGKILL, as the kernel's out-of-memory killer does, and wait."""
        self._popen.kill()
        self.wait(cleanup.DYING_LIMIT_S)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end and return the exit status. Raises LabError when it takes longer."""
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name} (pid {self.pid}) did not end within {timeout_s:g} s") from error
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        return status


def python_env(*extra_paths: Path) -> dict[str, str]:
    """Environment in which a fresh Python finds the lab's own package."""
    package_home = Path(__file__).parent.parent
    paths = [str(package_home), *map(str, extra_paths)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
