"""What hosts of the lab look like, by the name that ``make demo ENGINE=...`` takes."""

from __future__ import annotations

from functools import partial

from quiesce_lab.engines import mysql
from quiesce_lab.engines.mariadb_app import BINLOG, DATA, REDO, UNDO, MariaDBApplication
from quiesce_lab.engines.postgres_app import WAL, PostgresApplication
from quiesce_lab.engines.redis_app import RedisApplication
from quiesce_lab.engines.sqlite_app import SqliteApplication
from quiesce_lab.host import Layout

LAYOUTS = {
    "mariadb": Layout((DATA,), (MariaDBApplication,)),
    # A redo log that fills within seconds, so that pages are flushed and checkpoints made all the time, as on a busy server.
    "two-disks": Layout((DATA, REDO), (partial(MariaDBApplication, redo_log_mib=8),)),
    "mysql": Layout((DATA,), (mysql.MySQLApplication,)),
    "postgres": Layout((DATA, WAL), (partial(PostgresApplication, small_wal=True),)),
    "redis": Layout((DATA,), (RedisApplication,)),
    "sqlite": Layout((DATA,), (SqliteApplication,)),
    "mixed": Layout((DATA, "/app"), (MariaDBApplication, PostgresApplication, RedisApplication, SqliteApplication)),
}


def whose_servers_are_here() -> list[str]:
    """Name the layouts that need nothing but Debian's stable packages, and ``mysql`` where ``make mysql`` has been."""
    return [name for name in LAYOUTS if name != "mysql" or mysql.is_here()]


def mariadb_on(disks: int, fs: str = "ext4") -> Layout:
    """Lay MariaDB out on one to four disks."""
    return Layout((DATA, REDO, BINLOG, UNDO)[:disks], (MariaDBApplication,), fs)
