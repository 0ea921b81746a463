"""A database host of the lab: an instance with its disks, a MariaDB server on them, and writers that never stop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from quiesce_lab import restore, verifier
from quiesce_lab.cloud.model import SYSTEM_DISK
from quiesce_lab.cloud.record import Call
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.load import MARIADB, Load
from quiesce_lab.mariadb import MariaDB, Options
from quiesce_lab.recovery import recover_disk
from quiesce_lab.site import Site
from quiesce_lab.verifier import Restored, Verdict, Window

SIZE_GIB = 2
DATA, REDO, BINLOG, UNDO = "/data", "/redo", "/binlog", "/undo"
"""Mount points of a host; the first alone on one disk, all of them on four."""
RESTORE_INSTANCE = "ins-restore"


@dataclass(frozen=True)
class Layout:
    """Which disk is mounted where: disk ids by mount path, the data's first."""

    disks: Mapping[str, str]
    fs: str = "ext4"

    @classmethod
    def of(cls, instance_id: str, count: int, fs: str = "ext4") -> Layout:
        """Lay a host out on one to four disks."""
        paths = (DATA, REDO, BINLOG, UNDO)[:count]
        stem = instance_id.removeprefix("ins-")
        return cls({path: f"disk-{stem}{number}" for number, path in enumerate(paths)}, fs)


@dataclass
class Host:
    """Everything of one host. ``disk_ids`` are in the order of the layout."""

    site: Site
    instance: Instance
    address: str
    layout: Layout
    database: MariaDB
    load: Load
    mounts: Mapping[str, Path]
    recovered: int = field(default=0)

    @property
    def disk_ids(self) -> tuple[str, ...]:
        """Ids of the host's disks."""
        return tuple(self.layout.disks.values())

    def set_durability(self, value: int) -> None:
        """Set innodb_flush_log_at_trx_commit, and sync_binlog with it as servers that relax the one relax the other."""
        with self.database.connect() as session, session.cursor() as cursor:
            cursor.execute(f"SET GLOBAL innodb_flush_log_at_trx_commit = {int(value)}")
            cursor.execute(f"SET GLOBAL sync_binlog = {1 if value == 1 else 0}")

    def verify(self, snapshots: Mapping[str, str]) -> Verdict:
        """Restore a set (disk id to snapshot id) onto new disks, start a second server, and compare with the ledger."""
        if set(snapshots) != set(self.disk_ids):
            raise LabError(f"only {sorted(snapshots)} of {self.disk_ids} were snapshotted: there is no set to restore")
        window = Window.around(calls_of(self.site, set(snapshots.values())))
        return verifier.judge(self.load.writes, self._restored(snapshots), window)

    def _restored(self, snapshots: Mapping[str, str]) -> Restored:
        """Read what a second server finds. The new disks are unmounted and deleted afterwards."""
        self.recovered += 1
        here = Instance(self.site.machine, RESTORE_INSTANCE)
        with ExitStack() as undo:
            places = {}
            for path, disk_id in self.layout.disks.items():
                mount_path = f"/{self.recovered}{path}"
                new_disk, place = recover_disk(self.site, snapshots[disk_id], here, mount_path)
                undo.callback(self.site.blocks.delete, new_disk)
                undo.callback(self.site.blocks.detach, new_disk)
                undo.callback(here.unmount, mount_path)
                places[self.mounts[path]] = place
            options = restore.moved(self.database.options, places)
            datadir = places[self.mounts[DATA]] / self.database.datadir.name
            return restore.read_mariadb(self.site.machine, datadir, here, options)


def add_host(site: Site, instance_id: str, address: str, *, disks: int = 1, fs: str = "ext4") -> Host:
    """Make an instance with its disks, install and start the server, and get the writers ready (not started)."""
    layout = Layout.of(instance_id, disks, fs)
    instance = Instance(site.machine, instance_id)
    site.cloud.world.add_instance(instance_id, address, tags={"backup": "nightly"}, name=instance_id)
    site.cloud.world.add_disk(f"disk-{instance_id.removeprefix('ins-')}s", 20, instance_id, SYSTEM_DISK)
    mounts = {path: _add_disk(site, instance, path, disk_id, fs) for path, disk_id in layout.disks.items()}
    database = MariaDB(
        site.machine,
        mounts[DATA] / "mysql",
        run_dir=instance.run_dir / "mysqld",
        options=Options(
            redo_dir=mounts[REDO] / "redo" if REDO in mounts else None,
            binlog_dir=mounts[BINLOG] / "binlog" if BINLOG in mounts else None,
            undo_dir=mounts[UNDO] / "undo" if UNDO in mounts else None,
        ),
    )
    database.install()
    database.start()
    ledger = site.machine.directory("ledgers") / f"{instance_id}.csv"
    load = Load(site.machine, MARIADB, database.socket, ledger)
    return Host(site, instance, address, layout, database, load, mounts)


def _add_disk(site: Site, instance: Instance, path: str, disk_id: str, fs: str) -> Path:
    site.blocks.create(disk_id, SIZE_GIB)
    site.blocks.attach(disk_id, instance.instance_id)
    site.cloud.world.add_disk(disk_id, SIZE_GIB, instance.instance_id)
    instance.format(disk_id, fs)
    return instance.mount(disk_id, path)


def calls_of(site: Site, snapshot_ids: set[str]) -> list[tuple[float, float, float]]:
    """When each call arrived, began to cut, and was answered. A call whose answer was lost ended at its cut."""
    calls = [call for call in site.cloud.record.of("CreateSnapshot") if call.snapshot_id in snapshot_ids]
    return [_times(call) for call in calls]


def _times(call: Call) -> tuple[float, float, float]:
    if call.cut_began_at is None or call.cut_at is None:
        raise LabError(f"snapshot {call.snapshot_id} was listed before it was cut")
    return call.arrived_at, call.cut_began_at, call.cut_at if call.answered_at is None else call.answered_at
