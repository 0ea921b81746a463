"""A throw-away MariaDB server: its own data directory, its own socket, no network, always stopped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.waiting import wait_until

START_LIMIT_S = 20.0

needs_mariadb = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mariadbd") is None, reason="needs root and a MariaDB server"
)


def install(datadir: Path) -> None:
    """Make an empty data directory; root may log in from root's own processes over the socket."""
    argv = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=socket", "--skip-test-db"]
    own = (f"--datadir={datadir}", f"--tmpdir={tmpdir_of(datadir)}", "--user=root")
    subprocess.run([*argv, *own], check=True, capture_output=True, timeout=120)


def tmpdir_of(datadir: Path) -> Path:
    """Make a tmpdir of a server's own: one that starts empties it of temporary tables, those of a neighbour, too."""
    own = datadir.with_suffix(".tmp")
    own.mkdir(exist_ok=True)
    return own


@dataclass
class Server:
    """A running server."""

    socket: Path
    datadir: Path
    process: subprocess.Popen[bytes]

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        """Connect as root, or as ``user`` with ``password``."""
        given = {"user": "root", "autocommit": True, "read_timeout": 30, **options}
        return pymysql.connect(unix_socket=str(self.socket), **given)

    def ask(self, statement: str) -> Any:
        """Run one statement in a session of its own and return its rows."""
        with self.connect() as connection:
            return rows(connection, statement)

    def value(self, statement: str) -> Any:
        """Return the first column of the first row."""
        return self.ask(statement)[0][0]

    def sessions(self) -> set[int]:
        """Ids of all sessions but the one that asks."""
        query = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND command <> 'Daemon'"
        return {row[0] for row in self.ask(query)}

    def answers(self) -> bool:
        """Whether it lets us in."""
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.datadir.with_suffix('.log').read_text()[-2000:]}")
        if not self.socket.is_socket():
            return False
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True


def rows(connection: pymysql.connections.Connection[Any], statement: str) -> Any:
    """Run one statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def session_id(connection: pymysql.connections.Connection[Any]) -> int:
    """Id of a session, as the server lists it."""
    return int(connection.thread_id())  # type: ignore[no-untyped-call]


@contextmanager
def running(datadir: Path, *options: str) -> Iterator[Server]:
    """Run a server on a data directory made by ``install``."""
    argv = ["mariadbd", "--no-defaults", "--user=root", "--skip-networking", f"--tmpdir={tmpdir_of(datadir)}"]
    with serving([*argv, "--innodb-log-file-size=16M"], datadir, *options) as server:
        yield server


@contextmanager
def serving(program: Sequence[str], datadir: Path, *options: str) -> Iterator[Server]:
    """Run a program that is a server of this kind until the block ends; its socket and log lie beside its data."""
    socket = datadir.with_suffix(".sock")
    beside = (f"--datadir={datadir}", f"--socket={socket}", f"--pid-file={datadir.with_suffix('.pid')}")
    with datadir.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen([*program, *beside, *options], stdout=log, stderr=log)
    server = Server(socket, datadir, process)
    try:
        wait_until(server.answers, START_LIMIT_S)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
