"""What the guardian is measured on: two filesystems on loop devices, and a database with a table on the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quiesce_lab.blocks import LoopBlocks
from quiesce_lab.engines.mariadb import MariaDB, Options, Session
from quiesce_lab.instances import Instance
from quiesce_lab.machine import Machine
from quiesce_lab.pool import Pool

INSTANCE = "ins-guardian"
DISKS = {"disk-data": "ext4", "disk-more": "xfs"}
"""Disk id to filesystem type; the database lies on the first."""
SIZE_GIB = 2


@dataclass(frozen=True)
class Bed:
    """One instance with its disks mounted and its database running."""

    by_id_dir: Path
    state_dir: Path
    log_dir: Path
    mount_points: tuple[Path, ...]
    database: MariaDB

    def connect(self) -> Session:
        """Open a session whose inserts the hold makes wait."""
        return self.database.connect()


@contextmanager
def bed(state_dir: Path) -> Iterator[Bed]:
    """Make all of it below ``state_dir``; undo all of it at the end. Raises LabError."""
    with Machine(state_dir) as machine:
        blocks = LoopBlocks(Pool(machine))
        instance = Instance(machine, INSTANCE)
        mount_points = tuple(_disk(blocks, instance, disk_id, type_) for disk_id, type_ in DISKS.items())
        options = Options(redo_log_mib=32, buffer_pool_mib=32)
        database = MariaDB(machine, mount_points[0] / "mysql", run_dir=instance.run_dir / "mysqld", options=options)
        database.install()
        database.start()
        with database.connect() as session, session.cursor() as cursor:
            cursor.execute("CREATE DATABASE shop")
            cursor.execute("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        yield Bed(instance.by_id_dir, instance.run_dir / "quiesced", instance.log_dir, mount_points, database)


def _disk(blocks: LoopBlocks, instance: Instance, disk_id: str, type_: str) -> Path:
    blocks.create(disk_id, SIZE_GIB)
    blocks.attach(disk_id, instance.instance_id)
    instance.format(disk_id, type_)
    return instance.mount(disk_id, f"/{disk_id}")
