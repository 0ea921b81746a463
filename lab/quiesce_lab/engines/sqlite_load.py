"""The load on a SQLite database, as ``python -m quiesce_lab.engines.sqlite_load DATABASE LEDGER ...``.

WAL mode with automatic checkpoints, as applications use
it: a copy of the files that nobody held still for can have the database from before a checkpoint and the log from after it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from quiesce_lab import writers

BUSY_LIMIT_S = 60.0
"""A writer waits this long for a lock before its write counts as refused: longer than any hold."""
CHECKPOINT_PAGES = 200
TABLE = "writes"


class SqliteSink:
    """One connection of one writer, each row a transaction."""

    def __init__(self, database: Path, synchronous: str = "FULL") -> None:
        self._connection = sqlite3.connect(database, timeout=BUSY_LIMIT_S, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (writer INTEGER NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL,"
            " PRIMARY KEY (writer, seq)) WITHOUT ROWID"
        )

    def last_seq(self, writer: int) -> int:
        """See Sink."""
        statement = f"SELECT COALESCE(MAX(seq), 0) FROM {TABLE} WHERE writer = ?"
        return int(self._connection.execute(statement, (writer,)).fetchone()[0])

    def insert(self, writer: int, seq: int, content: bytes) -> None:
        """See Sink."""
        self._connection.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", (writer, seq, content))

    def close(self) -> None:
        """See Sink."""
        self._connection.close()


def main() -> None:
    """Write until told to stop."""
    parser = writers.command_line("sqlite_load")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    given = parser.parse_args()
    writers.serve(
        lambda: SqliteSink(given.target, given.synchronous),
        (sqlite3.Error,),
        given.ledger,
        count=given.writers,
        rate=given.rate,
    )


if __name__ == "__main__":
    main()
