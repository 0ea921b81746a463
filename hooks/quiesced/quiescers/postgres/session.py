"""One connection to a PostgreSQL server over its unix socket, with every wait bounded."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection

from quiesced.quiescers.reach import Reach
from quiesced.tables import Table

STATEMENT_TIMEOUT_S = 5.0
"""Longest that connecting, or a statement which waits for nothing, may take before the session counts as lost."""

LOST = (Error, OSError)
"""What pg8000 raises when a statement fails or the server is gone."""

APPLICATION_NAME = "quiesced"
MODES = ("auto", "freeze", "backup_api")

Row = list[Any]


@dataclass(frozen=True)
class Options:
    """The keys of an ``[[application]]`` table with engine "postgres"; limits in seconds."""

    socket_dir: Path
    """Directory of the server's unix socket."""
    user: str
    """The role; quiesced.example.toml has its grants."""
    port: int = 5432
    """The server's port, by which its socket is called."""
    database: str = "postgres"
    """The database to log in to."""
    password: str = field(default="", repr=False)
    """Its password, alone in a file that nobody else may read; unset: none is given."""
    mode: str = "auto"
    """How it is held: ``freeze`` leaves it to the freeze, ``backup_api`` takes pg_backup_start and its label, ``auto`` the
    backup API where data directory, WAL or tablespaces lie outside the set."""
    checkpoint_limit_s: float = 20.0
    """Longest that the checkpoint before the hold may take. No writer waits for it, but the function does, for 30 s."""

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return self.socket_dir / f".s.PGSQL.{self.port}"


def read_options(content: dict[str, object], path: str) -> tuple[Options, tuple[str, ...]]:
    """Read the options of one application, and every problem with them."""
    problems: list[str] = []
    table = Table(content, path, problems)
    options = Options(
        socket_dir=table.path("socket_dir"),
        user=table.text("user"),
        port=table.whole("port", 1, 65535, 5432),
        database=table.text("database", "postgres"),
        password=table.secret("password_file") or "",
        mode=table.one_of("mode", MODES, "auto"),
        checkpoint_limit_s=table.seconds("checkpoint_limit_s", 20.0, at_most=25.0),
    )
    table.close()
    return options, tuple(problems)


class Session:
    """One connection, in autocommit. Statements raise what ``LOST`` names."""

    def __init__(self, options: Options) -> None:
        """Connect; raises what ``LOST`` names."""
        if not options.socket.is_socket():
            raise FileNotFoundError(f"there is no socket {options.socket}; is the server running?")
        self._connection = Connection(
            options.user,
            database=options.database,
            password=options.password or None,
            unix_sock=str(options.socket),
            ssl_context=False,
            timeout=STATEMENT_TIMEOUT_S,
            application_name=APPLICATION_NAME,
        )
        try:
            query = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            pid, started = self.rows(query)[0]
            self.pid, self.started = int(pid), str(started)
            self.version = int(self.value("SELECT current_setting('server_version_num')"))
            self.version_text = str(self.value("SELECT version()"))
        except BaseException:  # whatever it is goes on, and no session stays behind
            self.close()
            raise

    def rows(self, statement: str, *, within_s: float = STATEMENT_TIMEOUT_S, **values: object) -> list[Row]:
        """Run a statement and return its rows; ``:name`` in it stands for a value. The wait for each answer is bounded."""
        if self._connection._usock is None:  # closed: pg8000 would fail with an AttributeError
            raise ConnectionError("the session is closed")
        self._connection._usock.settimeout(within_s)
        found: list[Row] = self._connection.run(statement, **values) or []
        return found

    def value(self, statement: str, *, within_s: float = STATEMENT_TIMEOUT_S, **values: object) -> Any:
        """Return the first column of the first row; None when there is no row."""
        rows = self.rows(statement, within_s=within_s, **values)
        return rows[0][0] if rows else None

    @property
    def identity(self) -> str:
        """Names the session so that no later one is taken for it."""
        return f"backend {self.pid} since {self.started}"

    def is_open(self) -> bool:
        """Whether the server has not hung up."""
        if self.fileno() < 0:
            return False
        watched = select.poll()
        watched.register(self.fileno(), select.POLLRDHUP)
        return not watched.poll(0)

    def fileno(self) -> int:
        """Descriptor of the socket under the connection; -1 when closed."""
        found = self._connection._usock
        return -1 if found is None else int(found.fileno())

    def abort(self) -> None:
        """End every wait on this connection, from another thread."""
        found = self._connection._usock
        if found is not None:
            with suppress(OSError):  # the other side was faster
                found.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Say goodbye if the server listens, and close in any case. Any number of times."""
        with suppress(*LOST):
            self._connection.close()


def words(error: Exception) -> str:
    """Return what went wrong: the server's own message where it sent one (field M of its ErrorResponse)."""
    if isinstance(error, DatabaseError) and error.args and isinstance(error.args[0], dict):
        return str(error.args[0].get("M", error))
    return str(error) or type(error).__name__


_REACH = Reach(LOST, words)
answering, unreachable = _REACH.answering, _REACH.unreachable


def connect(options: Options, name: str) -> Session:
    """Connect, or raise Refused(application_unreachable)."""
    with answering(f"{name}: cannot log in as {options.user}"):
        return Session(options)
