"""Read a restored SQLite database: check it, and read every row."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from quiesce_lab.engines.sqlite_load import TABLE
from quiesce_lab.verifier import Restored


def read_sqlite(database: Path) -> Restored:
    """Open a copied SQLite database, check it and read the application's table."""
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            checks = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            cursor = connection.execute(f"SELECT writer, seq, payload FROM {TABLE}")
            rows = {(int(writer), int(seq)): bytes(content) for writer, seq, content in cursor}
    except sqlite3.Error as error:
        return Restored(starts=False, error_log=(f"{type(error).__name__}: {error}",))
    return Restored(starts=True, rows=rows, damage=tuple(check for check in checks if check != "ok"))
