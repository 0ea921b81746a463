"""SQLite: BEGIN IMMEDIATE keeps writers out while readers go on; fsync under the lock makes it durable.

SQLite's locks are POSIX locks of this process: closing *any* descriptor of the database file gives them all up
(sqlite.org, How To Corrupt, section 2.2). So files are opened before the lock and closed after it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from quiesced.errors import Refused
from quiesced.messages import ApplicationWitness, Refusal
from quiesced.quiescers.base import Budget, HeldBy, Report, Scene, Watched
from quiesced.tables import Table

ENGINE = "sqlite"
_BUSY = "locked"


@dataclass(frozen=True)
class Options:
    """The keys of an ``[[application]]`` table with engine "sqlite"."""

    path: Path
    """The database file; its -wal and -journal lie beside it."""


def read_options(content: dict[str, object], path: str) -> tuple[Options, tuple[str, ...]]:
    """Read the options of one application, and every problem with them."""
    problems: list[str] = []
    table = Table(content, path, problems)
    options = Options(table.path("path"))
    table.close()
    return options, tuple(problems)


class SqliteQuiescer:
    """See base.Quiescer."""

    engine = ENGINE

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._path = options.path

    def check(self, scene: Scene) -> Report:
        """Look at the file; its -wal and -journal lie beside it."""
        paths = (("database", str(self._path)), ("directory", str(self._path.parent)))
        try:
            _open(self._path).close()
        except sqlite3.Error as error:
            return Report(sqlite3.sqlite_version, paths, (self._unreachable(error),))
        return Report(sqlite3.sqlite_version, paths, ())

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> SqliteHold:
        """Open everything and checkpoint as far as that blocks nobody. There is nothing to heal."""
        del budget, scene, register  # neither waits nor changes anything, and there is one way only
        try:
            return SqliteHold(self.name, self._path)
        except (sqlite3.Error, OSError) as error:
            refusal = self._unreachable(error)
            raise Refused(refusal.code, refusal.message) from error

    def heal(self, leftover: dict[str, object]) -> None:
        """Do nothing: the kernel took the locks away when the daemon ended."""

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        """Try the write lock: another writer's passes by itself, and who asks looks again."""
        del leftover
        try:
            connection = _open(self._path)
        except sqlite3.Error as error:
            return (str(self._unreachable(error).message),)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            return (f"{self.name}: the write lock of {self._path} is not free: {error}",)
        finally:
            connection.close()
        return ()

    def _unreachable(self, error: Exception) -> Refusal:
        return Refusal("application_unreachable", f"{self.name}: cannot use {self._path}: {error}")


class SqliteHold:
    """See base.Hold."""

    def __init__(self, name: str, path: Path) -> None:
        """Open the database twice, to hold and to look, and checkpoint. Raises sqlite3.Error or OSError."""
        self.name = name
        self.held_by = HeldBy.LOCK
        self.leftover: dict[str, object] = {}
        self._path = path
        self._fds: list[int] = []
        self._durable = False
        self._connections = [_open(path)]
        try:
            self._connections.append(_open(path))
            self._holder, self._observer = self._connections
            self._holder.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._fds.append(os.open(str(path), os.O_RDONLY | os.O_CLOEXEC))
            self._fds.append(os.open(str(path.parent), os.O_RDONLY | os.O_CLOEXEC))
            self._sync()
        except (sqlite3.Error, OSError):
            self._close()
            raise

    def sockets(self) -> tuple[int, ...]:
        """See base.Hold: a file lock has none, it ends with the process."""
        return ()

    def quiesce(self, budget: Budget) -> None:
        """Take the write lock, then bring everything to disk."""
        try:
            self._holder.execute(f"PRAGMA busy_timeout = {int(budget.acquire_left_s() * 1000)}")
            self._holder.execute("BEGIN IMMEDIATE")
            self._open_wal()
            self._sync()
            self._durable = True
        except (sqlite3.Error, OSError) as error:
            self.release()
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> Refused:
        if isinstance(error, sqlite3.OperationalError) and _BUSY in str(error):
            return Refused("acquire_timeout", f"{self.name}: another process kept the write lock of {self._path}")
        code = "application_unreachable" if isinstance(error, sqlite3.Error) else "not_durable"
        return Refused(code, f"{self.name}: {error}")

    def _open_wal(self) -> None:
        wal = Path(f"{self._path}-wal")
        if wal.exists():
            self._fds.append(os.open(str(wal), os.O_RDONLY | os.O_CLOEXEC))

    def _sync(self) -> None:
        for fd in self._fds:
            os.fsync(fd)

    def witness(self) -> ApplicationWitness:
        """Look from the second connection."""
        shown = self._writer_is_refused()
        return ApplicationWitness(
            name=self.name,
            engine=ENGINE,
            session=f"process {os.getpid()}",
            session_alive=self._holds(),
            lock_shown=shown,
            lock_evidence="a second connection was refused BEGIN IMMEDIATE" + ("" if shown else ": no, it was not"),
            position=self._position(),
            durable=self._durable,
            durable_evidence="fsync of database, write-ahead log and directory under the lock"
            if self._durable
            else "nothing was brought to disk under the lock",
        )

    def _holds(self) -> bool:
        try:
            self._holder.execute("SELECT 1").fetchall()
        except sqlite3.Error:
            return False
        return self._holder.in_transaction

    def _writer_is_refused(self) -> bool:
        try:
            self._observer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return _BUSY in str(error)
        except sqlite3.Error:
            return False
        self._observer.execute("ROLLBACK")
        return False

    def _position(self) -> dict[str, str]:
        """Values that any commit of another connection moves: data_version is made for that (sqlite.org, PRAGMA)."""
        try:
            found = {name: self._observer.execute(f"PRAGMA {name}").fetchone()[0] for name in _POSITION}
            found["wal_bytes"] = _size(Path(f"{self._path}-wal"))
        except (sqlite3.Error, OSError):
            return {}
        return {name: str(value) for name, value in found.items()}

    def watched(self) -> Watched:
        """See base.Hold: SQLite keeps no list of those who wait for it."""
        return Watched()

    def release(self) -> None:
        """Roll back the empty transaction and close."""
        try:
            if self._holder.in_transaction:
                self._holder.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # closed already; closing is what ends the lock
        self._close()

    def attachments(self) -> Mapping[str, str]:
        """See base.Hold: none."""
        return {}

    def _close(self) -> None:
        for connection in self._connections:
            connection.close()
        for fd in self._fds:
            os.close(fd)
        self._connections, self._fds = [], []


_POSITION = ("data_version", "page_count")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _open(path: Path) -> sqlite3.Connection:
    """Open an existing database. Transactions are ours alone, and the keeper calls from several threads."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA schema_version").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
