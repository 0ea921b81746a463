"""The load on a SQLite database, as ``python -m quiesce_lab.engines.sqlite_load DATABASE LEDGER ...``.

WAL mode with automatic checkpoints, as applications use
it: a copy of the files that nobody held still for can have the database from before a checkpoint and the log from after it.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from quiesce_lab import writers

BUSY_LIMIT_S = 60.0
"""A writer waits this long for a lock before its write counts as refused: longer than any hold."""
CHECKPOINT_PAGES = 200
_BUSY = "locked"
TABLE = "writes"


class SqliteSink:
    """One connection of one writer, each row a transaction.

    ``retry_s`` is how often a writer that meets a lock asks again; with 0 SQLite's own busy handler waits for it, which
    asks again after up to 100 ms.
    """

    def __init__(self, database: Path, synchronous: str = "FULL", retry_s: float = 0.0) -> None:
        self._retry_s = retry_s
        timeout_s = 0.0 if retry_s else BUSY_LIMIT_S
        self._connection = sqlite3.connect(database, timeout=timeout_s, isolation_level=None)
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
        give_up_at = time.monotonic() + BUSY_LIMIT_S
        while not self._inserted((writer, seq, content), give_up_at):
            time.sleep(self._retry_s)

    def close(self) -> None:
        """See Sink."""
        self._connection.close()

    def _inserted(self, row: tuple[int, int, bytes], give_up_at: float) -> bool:
        try:
            self._connection.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            if _BUSY not in str(error) or not self._retry_s or time.monotonic() >= give_up_at:
                raise
            return False
        return True


def main() -> None:
    """Write until told to stop."""
    parser = writers.command_line("sqlite_load")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    parser.add_argument("--retry-ms", type=float, default=0.0, help="ask again this often; 0: as SQLite does by itself")
    given = parser.parse_args()
    writers.serve(
        lambda: SqliteSink(given.target, given.synchronous, given.retry_ms / 1000),
        (sqlite3.Error,),
        given.ledger,
        count=given.writers,
        rate=given.rate,
    )


if __name__ == "__main__":
    main()
