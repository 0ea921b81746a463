"""A throw-away PostgreSQL server: its own cluster, its own socket, no network, always stopped."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest
from pg8000.exceptions import Error
from pg8000.native import Connection

from tests.waiting import wait_until

START_LIMIT_S = 30.0
PORT = 5432
USER = "postgres"


def program(name: str) -> str:
    """Find a server program: Debian keeps one directory for each version, outside of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name))
    return next((str(place / name) for place in reversed(places) if (place / name).exists()), shutil.which(name) or "")


def _has_user() -> bool:
    return USER in {entry.pw_name for entry in pwd.getpwall()}


needs_postgres = pytest.mark.skipif(
    os.geteuid() != 0 or not program("postgres") or not _has_user(), reason="needs root and a PostgreSQL server"
)


def run_as_postgres(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program as the server's user, as it refuses to be run by root."""
    return subprocess.run(
        list(map(str, argv)), user=USER, group=USER, cwd="/", check=True, capture_output=True, text=True, timeout=120
    )


def own(directory: Path) -> Path:
    """Make a directory that belongs to the server's user."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.chown(directory, USER, USER)
    return directory


def install(base: Path, waldir: Optional[Path] = None, more: Sequence[str] = ()) -> Path:
    """Make a cluster in ``base``/data, with its WAL elsewhere when asked to, and with ``more`` options of initdb."""
    datadir = own(base) / "data"
    more = [*more, *([f"--waldir={waldir}"] if waldir else [])]
    run_as_postgres(program("initdb"), "-D", datadir, "-A", "trust", "-U", USER, "--no-sync", *more)
    return datadir


@dataclass
class Server:
    """A running server."""

    socket_dir: Path
    datadir: Path
    process: subprocess.Popen[bytes]

    def connect(self, user: str = USER) -> Connection:
        """Connect over the socket."""
        socket = str(self.socket_dir / f".s.PGSQL.{PORT}")
        return Connection(user, database="postgres", unix_sock=socket, ssl_context=False, timeout=30.0)

    def ask(self, statement: str) -> list[list[Any]]:
        """Run one statement in a session of its own and return its rows."""
        with closing(self.connect()) as connection:
            return connection.run(statement) or []

    def value(self, statement: str) -> Any:
        """Return the first column of the first row."""
        return self.ask(statement)[0][0]

    def sessions(self) -> set[int]:
        """Process ids of all client sessions but the one that asks."""
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        return {row[0] for row in self.ask(query)}

    def answers(self) -> bool:
        """Whether it lets us in."""
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.socket_dir.with_suffix('.log').read_text()[-2000:]}")
        if not (self.socket_dir / f".s.PGSQL.{PORT}").is_socket():
            return False
        try:
            self.connect().close()
        except (Error, OSError):
            return False
        return True


@contextmanager
def running(datadir: Path, *, run_dir: Path, settings: Sequence[str] = ()) -> Iterator[Server]:
    """Run a server on a cluster made by ``install``; socket and log lie in ``run_dir``."""
    own(run_dir)
    options = ["listen_addresses=", f"unix_socket_directories={run_dir}", "shared_buffers=32MB"]
    options += ["dynamic_shared_memory_type=mmap", *settings]
    argv = [program("postgres"), "-D", str(datadir), *(part for option in options for part in ("-c", option))]
    with run_dir.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(argv, user=USER, group=USER, cwd="/", stdout=log, stderr=log)
    server = Server(run_dir, datadir, process)
    try:
        wait_until(server.answers, START_LIMIT_S)
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)
