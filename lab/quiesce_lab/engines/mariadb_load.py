"""The load on a MariaDB server, one row each: ``python -m quiesce_lab.engines.mariadb_load SOCKET LEDGER ...``."""

from __future__ import annotations

from pathlib import Path

import pymysql

from quiesce_lab import writers

TABLE = "lab.writes"
_SCHEMA = (
    "CREATE DATABASE IF NOT EXISTS lab",
    f"CREATE TABLE IF NOT EXISTS {TABLE} (writer INT NOT NULL, seq BIGINT NOT NULL, payload VARBINARY(255) NOT NULL,"
    " PRIMARY KEY (writer, seq)) ENGINE=InnoDB",
)


class MariaDBSink:
    """One autocommit session of one writer."""

    def __init__(self, socket: Path) -> None:
        self._session = pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)
        self._cursor = self._session.cursor()

    def last_seq(self, writer: int) -> int:
        """See Sink."""
        self._cursor.execute(f"SELECT COALESCE(MAX(seq), 0) FROM {TABLE} WHERE writer = %s", (writer,))
        row = self._cursor.fetchone()
        return int(row[0]) if row else 0

    def insert(self, writer: int, seq: int, content: bytes) -> None:
        """See Sink."""
        self._cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, UNHEX(%s))", (writer, seq, content.hex()))

    def close(self) -> None:
        """See Sink."""
        if self._session.open:
            self._session.close()


def prepare(socket: Path) -> None:
    """Make the table. Raises pymysql.err.MySQLError."""
    session = pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)
    with session, session.cursor() as cursor:
        for statement in _SCHEMA:
            cursor.execute(statement)


def main() -> None:
    """Make the table when it is not there, and write until told to stop."""
    given = writers.command_line("mariadb_load").parse_args()
    prepare(given.target)
    errors = (pymysql.err.MySQLError, OSError)
    writers.serve(lambda: MariaDBSink(given.target), errors, given.ledger, count=given.writers, rate=given.rate)


if __name__ == "__main__":
    main()
