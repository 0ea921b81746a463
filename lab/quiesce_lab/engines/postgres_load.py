"""The load on a PostgreSQL server, one row each: ``python -m quiesce_lab.engines.postgres_load SOCKET LEDGER ...``."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pg8000.exceptions import Error
from pg8000.native import Connection

from quiesce_lab import writers

TABLE = "lab_writes"
_SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (writer int NOT NULL, seq bigint NOT NULL, payload bytea NOT NULL,"
    " PRIMARY KEY (writer, seq))"
)


class PostgresSink:
    """One session of one writer, each row a transaction that is on disk when it is acknowledged."""

    def __init__(self, socket: Path) -> None:
        self._session = connect(socket)

    def last_seq(self, writer: int) -> int:
        """See Sink."""
        rows = self._session.run(f"SELECT coalesce(max(seq), 0) FROM {TABLE} WHERE writer = :writer", writer=writer)
        return int((rows or [[0]])[0][0])

    def insert(self, writer: int, seq: int, content: bytes) -> None:
        """See Sink."""
        statement = f"INSERT INTO {TABLE} VALUES (:writer, :seq, :content)"
        self._session.run(statement, writer=writer, seq=seq, content=content)

    def close(self) -> None:
        """See Sink."""
        with contextlib.suppress(Error, OSError):
            self._session.close()


def connect(socket: Path) -> Connection:
    """Connect as the superuser; a commit may wait as long as any hold."""
    return Connection("postgres", unix_sock=str(socket), ssl_context=False, timeout=60.0)


def main() -> None:
    """Make the table when it is not there, and write until told to stop."""
    given = writers.command_line("postgres_load").parse_args()
    with contextlib.closing(connect(given.target)) as session:
        session.run(_SCHEMA)
    writers.serve(lambda: PostgresSink(given.target), (Error, OSError), given.ledger, count=given.writers, rate=given.rate)


if __name__ == "__main__":
    main()
