"""A PostgreSQL server of the lab: its cluster on the instance's disks, its socket and log elsewhere, and no network.

It never meets the distribution's clusters or its service: programs of the newest version that is there, called as they are.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from pg8000.exceptions import Error
from pg8000.native import Connection

from quiesce_lab.engines.starting import last_lines, start_and_wait
from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine
from quiesce_lab.needs import which
from quiesce_lab.processes import Command, Process
from quiesce_lab.run import run

START_LIMIT_S = 90.0
STOP_LIMIT_S = 30.0
PORT = 5432
USER = "postgres"
HOME = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each version, outside of PATH."""
_AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
"""The server refuses to be run by root."""


@dataclass(frozen=True)
class Options:
    """Settings of a server. ``wal_dir`` puts the write-ahead log on another disk; None leaves it in the cluster."""

    wal_dir: Path | None = None
    shared_buffers_mib: int = 64
    max_wal_mib: int = 256
    wal_segment_mib: int = 16


class Postgres:
    """One server on one cluster. Methods raise LabError."""

    def __init__(self, machine: Machine, datadir: Path, *, run_dir: Path, options: Options) -> None:
        """``run_dir`` is a directory of the server's own, outside of the disks: socket and log."""
        self.datadir = datadir
        self.run_dir = run_dir
        self.log = run_dir.with_suffix(".log")
        self.options = options
        self._machine = machine
        self._process: Process | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.run_dir / f".s.PGSQL.{PORT}"

    def install(self) -> None:
        """Make a cluster in an empty directory. Everybody on the socket is trusted."""
        _own(self.datadir)
        self.datadir.chmod(0o700)
        more = [f"--waldir={_own(self.options.wal_dir)}"] if self.options.wal_dir else []
        segment = f"--wal-segsize={self.options.wal_segment_mib}"
        self.run_program("initdb", "-D", self.datadir, "-A", "trust", "-U", USER, segment, *more)

    def start(self) -> None:
        """Start the server and wait until it answers. When it ends instead, the error quotes its log."""
        _own(self.run_dir)
        command = Command(f"postgres on {self.datadir}", self._argv(), self.log)
        self._process = start_and_wait(self._machine, command, self.answers, START_LIMIT_S)

    def stop(self) -> None:
        """Shut down in order and wait. A server that does not run is no error."""
        if self._process is not None and self._process.running:
            self.run_program("pg_ctl", "stop", "-D", self.datadir, "-m", "fast", "-w")
            self._process.wait(STOP_LIMIT_S)

    def kill(self) -> None:
        """Kill the server as a crash of the machine would: its children end when they notice."""
        if self._process is not None:
            self._process.kill()

    def connect(self, database: str = "postgres") -> Connection:
        """Open a session as the superuser. Raises pg8000's Error or OSError."""
        return Connection(USER, database=database, unix_sock=str(self.socket), ssl_context=False, timeout=60.0)

    def value(self, statement: str) -> object:
        """Return the first column of the first row, over a session of its own. Raises pg8000's Error or OSError."""
        with contextlib.closing(self.connect()) as session:
            return (session.run(statement) or [[None]])[0][0]

    def run_program(self, name: str, *arguments: str | Path) -> str:
        """Run a program of the server's version as the server's user; returns what it printed."""
        return run(*_AS_USER, program(name), *arguments)

    def answers(self) -> bool:
        """Whether it lets us in."""
        if not self.socket.is_socket():
            return False
        try:
            self.connect().close()
        except (Error, OSError):
            return False
        return True

    def last_log_lines(self, count: int) -> tuple[str, ...]:
        """Last lines of the server's log."""
        return last_lines(self.log, count)

    def _argv(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self.run_dir),
            "shared_buffers": f"{self.options.shared_buffers_mib}MB",
            "max_wal_size": f"{self.options.max_wal_mib}MB",
            "dynamic_shared_memory_type": "mmap",  # in the cluster: one that is killed leaves nothing in /dev/shm
            "checkpoint_timeout": "30s",
            "min_wal_size": f"{min(80, 2 * self.options.wal_segment_mib)}MB",
            "checkpoint_completion_target": "0.1",
        }
        given = (part for key, value in settings.items() for part in ("-c", f"{key}={value}"))
        return [*_AS_USER, program("postgres"), "-D", str(self.datadir), *given]


def program(name: str) -> str:
    """Find a program of the newest version. Raises LabError when there is none."""
    places = sorted(HOME.glob("*/bin"), key=lambda place: float(place.parent.name), reverse=True)
    found = next((place / name for place in places if (place / name).exists()), which(name))
    if found is None:
        raise LabError(f"{name} is not installed (Debian: postgresql)")
    return str(found)


def _own(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    shutil.chown(directory, USER, USER)
    return directory
