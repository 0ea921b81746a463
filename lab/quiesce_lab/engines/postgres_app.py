"""PostgreSQL as an application of a host, and what a second server finds of it on restored disks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pg8000.exceptions import Error

from quiesce_lab.engines.postgres import PORT, USER, Options, Postgres
from quiesce_lab.engines.postgres_load import TABLE
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.load import Load
from quiesce_lab.machine import Machine
from quiesce_lab.verifier import Key, Restored

LOAD = "quiesce_lab.engines.postgres_load"
WAL = "/wal"
"""Mount point of the write-ahead log, where it has a disk of its own."""
PLACES = ("/app", "/data")
"""Mount points that the cluster may lie on, the first that the host has."""
_LAST_LINES = 12


class PostgresApplication:
    """See base.Application. ``synchronous_commit`` stays on: what the server acknowledges is on its disk.

    ``small_wal`` makes it turn over within a second or two under the lab's load, as a big one does on a busy server.
    """

    name = "ledger"

    def __init__(
        self, machine: Machine, instance: Instance, mounts: Mapping[str, Path], ledger: Path, *, small_wal: bool = False
    ) -> None:
        self._machine = machine
        self._place = next(mounts[place] for place in PLACES if place in mounts)
        self._wal_place = mounts.get(WAL)
        sizes = {"max_wal_mib": 2, "wal_segment_mib": 1} if small_wal else {}
        options = Options(wal_dir=self._wal_place / "pg_wal" if self._wal_place else None, **sizes)
        self.server = Postgres(machine, self._place / "pg" / "data", run_dir=instance.run_dir / "postgres", options=options)
        self.load = Load(machine, LOAD, self.server.socket, ledger, writers=12)

    @property
    def version(self) -> str:
        """See base.Application."""
        return f"PostgreSQL {self.server.value('SHOW server_version')}"

    def start(self) -> None:
        """See base.Application."""
        self.server.install()
        self.server.start()

    def stop(self) -> None:
        """See base.Application."""
        self.server.stop()

    def daemon_table(self) -> str:
        """See base.Application."""
        keys = f'socket_dir = "{self.server.run_dir}"\nport = {PORT}\nuser = "{USER}"\n'
        return f'[[application]]\nname = "{self.name}"\nengine = "postgres"\n{keys}'

    def relax(self) -> None:
        """See base.Application: a server that acknowledges what is not on its disk is refused, so it stays strict."""

    def held_by_hand(self) -> AbstractContextManager[None]:
        """See base.Application: its manual has a snapshot of everything at one moment, and no lock."""
        return contextlib.nullcontext()

    def restored(self, places: Mapping[Path, Path], here: Instance) -> Restored:
        """See base.Application."""
        datadir = places[self._place] / "pg" / "data"
        if self._wal_place is not None:
            (datadir / "pg_wal").unlink()
            (datadir / "pg_wal").symlink_to(places[self._wal_place] / "pg_wal")
        return read_postgres(self._machine, datadir, here)


def read_postgres(machine: Machine, datadir: Path, instance: Instance) -> Restored:
    """Start a second server on a restored cluster, crash recovery included, read every row, and have it checked.

    The lock file names a process of the first server; whoever restores a snapshot removes it (manual, 26.3.3).
    """
    (datadir / "postmaster.pid").unlink(missing_ok=True)
    server = Postgres(machine, datadir, run_dir=instance.run_dir / "restored-postgres", options=Options())
    server.log.unlink(missing_ok=True)
    try:
        server.start()
        position = _position(server)
        rows = _rows(server)
        damage = _damage(server)
    except (LabError, Error, OSError) as error:
        return Restored(starts=False, error_log=(str(error), *server.last_log_lines(_LAST_LINES)))
    finally:
        with contextlib.suppress(LabError):
            server.stop()
        server.kill()
    return Restored(starts=True, rows=rows, damage=damage, position=position)


def _position(server: Postgres) -> dict[str, str]:
    """Where recovery ended: it closes with a checkpoint, which begins where the last record ended."""
    with contextlib.closing(server.connect()) as session:
        lsn, timeline = (session.run("SELECT redo_lsn::text, timeline_id::text FROM pg_control_checkpoint()") or [[]])[0]
    return {"wal_lsn": str(lsn), "timeline": str(timeline)}


def _rows(server: Postgres) -> dict[Key, bytes]:
    with contextlib.closing(server.connect()) as session:
        found = session.run(f"SELECT writer, seq, payload FROM {TABLE}") or []
    return {(int(writer), int(seq)): bytes(content) for writer, seq, content in found}


def _damage(server: Postgres) -> tuple[str, ...]:
    """Ask pg_amcheck about every table and index of every database."""
    where = ("-h", server.run_dir, "-p", str(PORT), "-U", USER)
    try:
        said = server.run_program("pg_amcheck", *where, "--all", "--install-missing", "--heapallindexed", "--rootdescend")
    except LabError as error:
        return (str(error),)
    return tuple(said.splitlines())
