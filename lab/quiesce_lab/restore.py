"""Read a restored disk as its owner would: start a second server on it, let it recover, read every row, stop it.

Nothing here can make a restore look better: no repair, no forced recovery, and a server that does not start is a result.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pymysql

from quiesce_lab import load_worker, sqlite_app
from quiesce_lab.blocks import LoopBlocks
from quiesce_lab.dirblocks import DirBlocks
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.machine import Machine
from quiesce_lab.mariadb import BINLOG, MariaDB, Options
from quiesce_lab.verifier import Key, Restored

_LAST_LINES = 12


@contextlib.contextmanager
def restored_disks(
    blocks: LoopBlocks | DirBlocks, instance: Instance, snapshots: Mapping[str, str], size_gib: int
) -> Iterator[dict[str, Path]]:
    """Make a new disk of each snapshot, attach and mount it; undo all of it at the end. Raises LabError.

    ``snapshots`` maps a mount path to a snapshot id; the result maps the same path to where it is mounted.
    """
    with contextlib.ExitStack() as undo:
        mounted = {}
        for path, snapshot_id in snapshots.items():
            disk_id = f"disk-of-{snapshot_id}"
            undo.callback(blocks.delete, disk_id)
            blocks.create(disk_id, size_gib, from_snapshot=snapshot_id)
            undo.callback(blocks.detach, disk_id)
            blocks.attach(disk_id, instance.instance_id)
            undo.callback(instance.unmount, path)
            mounted[path] = instance.mount(disk_id, path)
        yield mounted


def read_mariadb(machine: Machine, datadir: Path, instance: Instance, options: Options) -> Restored:
    """Start a second MariaDB on a restored data directory, crash recovery included, and read the load's table.

    ``options`` are those of the first server, with directories of the restored disks.
    """
    if options.binlog_dir is not None:
        _move_binlog_index(options.binlog_dir)
    server = MariaDB(machine, datadir, run_dir=instance.run_dir / "restored", options=options)
    server.error_log.unlink(missing_ok=True)
    try:
        server.start()
        rows, damage = _read_table(server)
    except (LabError, pymysql.err.MySQLError) as error:
        return Restored(starts=False, error_log=(str(error), *server.last_log_lines(_LAST_LINES)))
    finally:
        server.kill()
    return Restored(starts=True, rows=rows, damage=damage)


def read_sqlite(database: Path) -> Restored:
    """Open a copied SQLite database, check it and read the application's table."""
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            checks = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            cursor = connection.execute(f"SELECT writer, seq, payload FROM {sqlite_app.TABLE}")
            rows = {(int(writer), int(seq)): bytes(content) for writer, seq, content in cursor}
    except sqlite3.Error as error:
        return Restored(starts=False, error_log=(f"{type(error).__name__}: {error}",))
    return Restored(starts=True, rows=rows, damage=tuple(check for check in checks if check != "ok"))


def moved(options: Options, places: Mapping[Path, Path]) -> Options:
    """Return a server's options with its directories on the restored disks; ``places`` maps old mounts to new ones."""

    def move(directory: Path | None) -> Path | None:
        if directory is None:
            return None
        old = next(place for place in places if directory.is_relative_to(place))
        return places[old] / directory.relative_to(old)

    return replace(
        options,
        redo_dir=move(options.redo_dir),
        binlog_dir=move(options.binlog_dir),
        undo_dir=move(options.undo_dir),
    )


def _read_table(server: MariaDB) -> tuple[dict[Key, bytes], tuple[str, ...]]:
    with server.connect() as session, session.cursor() as cursor:
        cursor.execute(f"CHECK TABLE {load_worker.TABLE} EXTENDED")
        damage = tuple(str(text) for *_, kind, text in cursor.fetchall() if (kind, text) != ("status", "OK"))
        cursor.execute(f"SELECT writer, seq, payload FROM {load_worker.TABLE}")
        rows = {(int(writer), int(seq)): bytes(content) for writer, seq, content in cursor.fetchall()}
    return rows, damage


def _move_binlog_index(binlog_dir: Path) -> None:
    """Point the binary log's index at the restored files: it names them by absolute path, which is the live server's."""
    index = binlog_dir / f"{BINLOG}.index"
    if not index.exists():
        return
    names = [Path(line).name for line in index.read_text().splitlines() if line]
    index.write_text("".join(f"{binlog_dir / name}\n" for name in names))
