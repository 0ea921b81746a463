"""MariaDB as an application of a host: on one disk, or with redo log, binary log and undo log on others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from quiesce_lab.engines.mariadb import MariaDB, Options
from quiesce_lab.engines.mariadb_restore import moved, read_mariadb
from quiesce_lab.instances import Instance
from quiesce_lab.load import MARIADB, Load
from quiesce_lab.machine import Machine
from quiesce_lab.verifier import Restored

DATA, REDO, BINLOG, UNDO = "/data", "/redo", "/binlog", "/undo"
"""Mount points of a host. What has no disk of its own lies with the one before it."""


class MariaDBApplication:
    """See base.Application."""

    name = "orders"
    server_class: type[MariaDB] = MariaDB

    def __init__(
        self,
        machine: Machine,
        instance: Instance,
        mounts: Mapping[str, Path],
        ledger: Path,
        *,
        redo_log_mib: int = 512,
        extra: tuple[str, ...] = (),
        daemon_mode: str = "auto",
    ) -> None:
        """``extra`` are options of the server, ``daemon_mode`` is how the daemon is told to hold it."""
        self._machine = machine
        self._home = mounts[DATA]
        self._daemon_mode = daemon_mode
        redo = mounts.get(REDO)
        binlog = mounts.get(BINLOG, redo)
        options = Options(
            redo_log_mib=redo_log_mib,
            extra=extra,
            redo_dir=redo / "redo" if redo else None,
            binlog_dir=binlog / "binlog" if binlog else None,
            undo_dir=mounts[UNDO] / "undo" if UNDO in mounts else None,
        )
        self.server = self.server_class(machine, self._home / "mysql", run_dir=instance.run_dir / "mysqld", options=options)
        self.load = Load(machine, MARIADB, self.server.socket, ledger)

    @property
    def version(self) -> str:
        """See base.Application."""
        return str(self.server.value("SELECT VERSION()"))

    def start(self) -> None:
        """See base.Application."""
        self.server.install()
        self.server.start()

    def stop(self) -> None:
        """See base.Application."""
        self.server.stop()

    def daemon_table(self) -> str:
        """See base.Application."""
        keys = f'socket = "{self.server.socket}"\nuser = "root"\nmode = "{self._daemon_mode}"\n'
        return f'[[application]]\nname = "{self.name}"\nengine = "mysql"\n{keys}'

    def relax(self) -> None:
        """See base.Application."""
        self.set_durability(0)

    def set_durability(self, value: int) -> None:
        """Set innodb_flush_log_at_trx_commit, and sync_binlog with it as servers that relax the one relax the other."""
        with self.server.connect() as session, session.cursor() as cursor:
            cursor.execute(f"SET GLOBAL innodb_flush_log_at_trx_commit = {int(value)}")
            cursor.execute(f"SET GLOBAL sync_binlog = {1 if value == 1 else 0}")

    @contextlib.contextmanager
    def held_by_hand(self) -> Iterator[None]:
        """FLUSH TABLES WITH READ LOCK, as Tencent documents it; the client is connected before, as a person's is."""
        with self.server.connect() as session, session.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            yield
            cursor.execute("UNLOCK TABLES")

    def restored(self, places: Mapping[Path, Path], here: Instance) -> Restored:
        """See base.Application."""
        options = moved(self.server.options, places)
        datadir = places[self._home] / self.server.datadir.name
        return read_mariadb(self._machine, datadir, here, options, self.server_class)
