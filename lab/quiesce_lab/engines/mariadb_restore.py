"""Read a restored MariaDB as its owner would: start a second server on it, let it recover, check it, read every row.

Nothing here can make a restore look better: no repair, no forced recovery, and a server that does not start is a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pymysql

from quiesce_lab.engines.mariadb import BINLOG, MariaDB, Options
from quiesce_lab.engines.mariadb_load import TABLE
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.machine import Machine
from quiesce_lab.verifier import Key, Restored

_LAST_LINES = 12


def read_mariadb(
    machine: Machine, datadir: Path, instance: Instance, options: Options, server_class: type[MariaDB] = MariaDB
) -> Restored:
    """Start a second server on a restored data directory, crash recovery included, and read the load's table.

    ``options`` are those of the first server, with directories of the restored disks.
    """
    _move_binlog_index(options.binlog_dir or datadir)
    server = server_class(machine, datadir, run_dir=instance.run_dir / "restored", options=options)
    server.error_log.unlink(missing_ok=True)
    try:
        server.start()
        position = {"gtid": str(server.value(server.GTID)).replace("\n", "")}
        rows, damage = _read_table(server)
    except (LabError, pymysql.err.MySQLError) as error:
        return Restored(starts=False, error_log=(str(error), *server.last_log_lines(_LAST_LINES)))
    finally:
        server.kill()
    return Restored(starts=True, rows=rows, damage=damage, position=position)


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
        cursor.execute(f"CHECK TABLE {TABLE} EXTENDED")
        damage = tuple(str(text) for *_, kind, text in cursor.fetchall() if (kind, text) != ("status", "OK"))
        cursor.execute(f"SELECT writer, seq, payload FROM {TABLE}")
        rows = {(int(writer), int(seq)): bytes(content) for writer, seq, content in cursor.fetchall()}
    return rows, damage


def _move_binlog_index(binlog_dir: Path) -> None:
    """Point the binary log's index at the restored files: it names them by absolute path, which is the live server's.

    A second server that recovered by the first one's binary log would find commits that its own disk does not have.
    """
    index = binlog_dir / f"{BINLOG}.index"
    if not index.exists():
        return
    names = [Path(line).name for line in index.read_text().splitlines() if line]
    index.write_text("".join(f"{binlog_dir / name}\n" for name in names))
