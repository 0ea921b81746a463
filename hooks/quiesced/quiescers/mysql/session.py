"""One connection to a MySQL or MariaDB server over its unix socket, with every wait bounded."""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pymysql
from pymysql.err import MySQLError

from quiesced.quiescers.reach import Reach
from quiesced.tables import Table

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 5.0
"""Longest that a statement which waits for nothing may take, before the session counts as lost."""

LOOK_LIMIT_S = 2.0
"""Longest that a look may take while writers wait: a server that is busy answers within milliseconds, too."""

LOST = (MySQLError, OSError)
"""What PyMySQL raises when a statement fails or the server is gone."""

Row = tuple[Any, ...]

AUTO, LOCK, BACKUP_LOCK, REPLICA = MODES = ("auto", "lock", "backup_lock", "replica")
"""How a server may be held (mysql/mode)."""


@dataclass(frozen=True)
class Options:
    """The keys of an ``[[application]]`` table with engine "mysql"; limits in seconds."""

    socket: Path
    """The server's unix socket."""
    user: str
    """The account; quiesced.example.toml has its grants."""
    password: str = field(repr=False)
    """Its password, alone in a file that nobody else may read; unset: none is given."""
    long_statement_s: float
    """A hold does not begin behind a statement that is older than this."""
    idle_transaction_s: float
    """A hold does not begin while a transaction is open and idle for longer than this."""
    max_stalled_writers: Optional[int] = None
    """More writers than this waiting behind the lock end a hold; unset: any number may wait."""
    max_connections_used: float = 0.8
    """Share of the server's max_connections; more in use than this end a hold, or keep it from beginning."""
    mode: str = AUTO
    """How it is held: ``lock`` FLUSH TABLES WITH READ LOCK, ``backup_lock`` MariaDB's backup stages, or MySQL's LOCK
    INSTANCE FOR BACKUP with a freeze, ``replica`` the SQL threads stopped first, ``auto`` the cheapest that suffices."""


def read_options(content: dict[str, object], path: str) -> tuple[Options, tuple[str, ...]]:
    """Read the options of one application, and every problem with them."""
    problems: list[str] = []
    table = Table(content, path, problems)
    options = Options(
        socket=table.path("socket"),
        user=table.text("user"),
        password=table.secret("password_file") or "",
        long_statement_s=table.seconds("long_statement_s", 5.0),
        idle_transaction_s=table.seconds("idle_transaction_s", 5.0),
        max_stalled_writers=table.optional_whole("max_stalled_writers", 1, 1_000_000),
        max_connections_used=table.share("max_connections_used", 0.8),
        mode=table.one_of("mode", MODES, AUTO),
    )
    table.close()
    return options, tuple(problems)


@dataclass(frozen=True)
class Flavor:
    """Which of the two servers this is, and its version."""

    text: str
    mariadb: bool
    number: tuple[int, ...]


class Session:
    """One connection, in autocommit. Statements raise what ``LOST`` names."""

    def __init__(self, options: Options, *, read_timeout_s: float = STATEMENT_TIMEOUT_S) -> None:
        """Connect; raises what ``LOST`` names."""
        if not options.socket.is_socket():  # PyMySQL would say "localhost" and leave its own socket to the collector
            raise FileNotFoundError(f"there is no socket {options.socket}; is the server running?")
        self._connection = pymysql.connect(
            unix_socket=str(options.socket),
            user=options.user,
            password=options.password,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            write_timeout=STATEMENT_TIMEOUT_S,
            # Nobody listens in on a socket; and for every session that might use TLS, PyMySQL reads all public CAs: 2.5 MB.
            ssl_disabled=True,
        )
        self.id = int(self._connection.thread_id())  # type: ignore[no-untyped-call]

    @property
    def socket(self) -> socket.socket:
        """The socket under the connection."""
        found: socket.socket = self._connection._sock  # type: ignore[attr-defined]
        return found

    def run(self, statement: str, *values: object) -> None:
        """Run a statement whose rows do not matter."""
        self.rows(statement, *values)

    def rows(self, statement: str, *values: object) -> tuple[Row, ...]:
        """Run a statement and return its rows. Without values a percent sign stands for itself."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return tuple(cursor.fetchall())

    def columns(self, statement: str) -> tuple[dict[str, str], ...]:
        """Run a statement and return each row by the names of its columns."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            names = [str(column[0]) for column in cursor.description or ()]
            return tuple({name: str(value) for name, value in zip(names, row)} for row in cursor.fetchall())

    def value(self, statement: str, *values: object) -> Any:
        """Return the first column of the first row; None when there is no row."""
        rows = self.rows(statement, *values)
        return rows[0][0] if rows else None

    def named(self, statement: str) -> dict[str, str]:
        """Return the rows of a SHOW STATUS or SHOW VARIABLES as a mapping."""
        return {str(name): str(value) for name, value in self.rows(statement)}

    def flavor(self) -> Flavor:
        """Ask which server this is."""
        text = str(self.value("SELECT VERSION()"))
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
        return Flavor(text, "mariadb" in text.lower(), tuple(map(int, numbers.groups())) if numbers else ())

    def server_process(self) -> str:
        """Identify the running server process, so that a restarted one is not taken for the same.

        The kernel keeps the peer's process id (SO_PEERCRED, unix(7)); field 22 of /proc/<pid>/stat is its start time.
        """
        credentials = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = struct.unpack("3i", credentials)[0]
        try:
            started = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        except OSError:
            started = ""
        return f"{pid}:{started}"

    def limit(self, read_timeout_s: float) -> None:
        """Let no statement from here on wait longer than this for its answer."""
        self._connection._read_timeout = read_timeout_s  # type: ignore[attr-defined]  # looked at before every read

    def alive(self) -> bool:
        """Whether the server still answers on this session."""
        try:
            return bool(self.value("SELECT CONNECTION_ID()") == self.id)
        except LOST:
            return False

    def abort(self) -> None:
        """End every wait on this connection, from another thread."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            return  # already closed

    def close(self) -> None:
        """Say goodbye if the server listens, and close in any case. Any number of times."""
        if self._connection.open:
            self._connection.close()


def _words(error: Exception) -> str:
    return str(error.args[1] if len(error.args) > 1 else error)


_REACH = Reach(LOST, _words)
answering, unreachable = _REACH.answering, _REACH.unreachable


def connect(options: Options, name: str, *, read_timeout_s: float = STATEMENT_TIMEOUT_S) -> Session:
    """Connect, or raise Refused(application_unreachable)."""
    with answering(f"{name}: cannot log in as {options.user}"):
        return Session(options, read_timeout_s=read_timeout_s)
