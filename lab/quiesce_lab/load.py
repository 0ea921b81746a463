"""The lab's side of a load: start the writing process, wait for its acknowledgements, stop it, read its ledger."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from quiesce_lab import ledger
from quiesce_lab.errors import LabError
from quiesce_lab.ledger import LedgerReader, Write
from quiesce_lab.machine import Machine
from quiesce_lab.processes import Command, Process, python_env

STOP_LIMIT_S = 30.0
MARIADB = "quiesce_lab.engines.mariadb_load"
SQLITE = "quiesce_lab.engines.sqlite_load"


class Load:
    """Writers in a process of their own, against a server's socket or a SQLite database. Methods raise LabError."""

    def __init__(
        self,
        machine: Machine,
        module: str,
        target: Path,
        ledger_path: Path,
        *,
        writers: int = 4,
        options: tuple[str, ...] = (),
    ) -> None:
        """``module`` is that of an engine's writers, ``options`` its own. The ledger lies on no disk that is snapshotted."""
        self._machine = machine
        self._module = module
        self._target = target
        self._path = ledger_path
        self._log = ledger_path.with_suffix(".log")
        self._writers = writers
        self._options = options
        self._reader = LedgerReader(ledger_path)
        self._process: Process | None = None

    def start(self, rate: float = 0.0) -> None:
        """Start writing; ``rate`` is in rows a second over all writers, 0 for as fast as they are acknowledged."""
        if self._process is not None and self._process.running:
            raise LabError("the load runs already")
        command = Command("load", self._argv(rate), self._log, env=python_env())
        self._process = self._machine.start(command)

    def stop(self) -> None:
        """Stop writing; the ledger is complete when this returns. Not running is no error, having failed is."""
        if self._process is None:
            return
        self._process.terminate()
        status = self._process.wait(STOP_LIMIT_S)
        self._process = None
        if status not in (0, -signal.SIGTERM):  # by the signal itself: before it had begun to write
            raise LabError(f"the load ended with status {status}: {self._last_words()}")

    @property
    def writers(self) -> int:
        """How many write at the same time."""
        return self._writers

    @property
    def pid(self) -> int:
        """Process id of the writers. Raises LabError when the load does not run."""
        if self._process is None:
            raise LabError("the load does not run")
        return self._process.pid

    @property
    def writes(self) -> tuple[Write, ...]:
        """The ledger so far."""
        return self._reader.writes

    def acked(self) -> int:
        """How many writes have been acknowledged so far."""
        return self._reader.acked

    def wait_until_acked(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Wait until so many writes have been acknowledged in all."""
        give_up_at = time.monotonic() + timeout_s
        while (acked := self.acked()) < count:
            if self._process is None or not self._process.running:
                raise LabError(f"the load does not run: {self._last_words()}")
            if time.monotonic() > give_up_at:
                raise LabError(f"{acked} of {count} writes acknowledged within {timeout_s:g} s")
            time.sleep(0.02)

    def longest_gap_s(self, since: float, until: float) -> float:
        """Longest time, in seconds, that a writer went without an acknowledged commit in a window (see ledger)."""
        return ledger.longest_gap_s(self.writes, since, until)

    def _argv(self, rate: float) -> list[str]:
        options = ["--writers", str(self._writers), "--rate", str(rate)]
        return [sys.executable, "-m", self._module, str(self._target), str(self._path), *options, *self._options]

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-500:].strip() if self._log.exists() else "it was never started"
