"""SQLite as an application of a host: a database file that several connections write, in WAL mode."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from quiesce_lab.engines.sqlite_restore import read_sqlite
from quiesce_lab.instances import Instance
from quiesce_lab.load import SQLITE, Load
from quiesce_lab.machine import Machine
from quiesce_lab.verifier import Restored

PLACES = ("/app", "/data")
"""Mount points it may lie on, the first that the host has."""


class SqliteApplication:
    """See base.Application. ``synchronous`` is NORMAL in its writers, as the manual recommends for WAL mode.

    ``retry_ms``: see sqlite_load.SqliteSink.
    """

    name = "sessions"

    def __init__(
        self,
        machine: Machine,
        _instance: Instance,
        mounts: Mapping[str, Path],
        ledger: Path,
        *,
        retry_ms: float = 0.0,
    ) -> None:
        self._home = next(mounts[place] for place in PLACES if place in mounts)
        self._database = self._home / "sqlite" / "sessions.db"
        options = ("--synchronous", "NORMAL", "--retry-ms", str(retry_ms))
        self.load = Load(machine, SQLITE, self._database, ledger, options=options)

    @property
    def version(self) -> str:
        """See base.Application."""
        return f"SQLite {sqlite3.sqlite_version}"

    def start(self) -> None:
        """See base.Application: there is no server; the directory and the file are made."""
        self._database.parent.mkdir(exist_ok=True)
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    def stop(self) -> None:
        """See base.Application."""

    def daemon_table(self) -> str:
        """See base.Application."""
        return f'[[application]]\nname = "{self.name}"\nengine = "sqlite"\npath = "{self._database}"\n'

    def relax(self) -> None:
        """See base.Application: its writers are from the beginning."""

    def held_by_hand(self) -> AbstractContextManager[None]:
        """See base.Application: its manual has a backup API, and nothing for snapshots."""
        return contextlib.nullcontext()

    def restored(self, places: Mapping[Path, Path], here: Instance) -> Restored:
        """See base.Application."""
        del here
        return read_sqlite(places[self._home] / "sqlite" / self._database.name)
