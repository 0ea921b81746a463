"""A host of the lab: an instance with its disks, the applications on them, and writers that never stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quiesce_lab import verifier
from quiesce_lab.cloud.model import SYSTEM_DISK
from quiesce_lab.cloud.record import Call
from quiesce_lab.engines.base import Application
from quiesce_lab.engines.mariadb import MariaDB
from quiesce_lab.engines.mariadb_app import MariaDBApplication
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.load import Load
from quiesce_lab.machine import Machine
from quiesce_lab.recovery import recover_disk
from quiesce_lab.site import Site
from quiesce_lab.verifier import Restored, Verdict, Window

SIZE_GIB = 2
RESTORE_INSTANCE = "ins-restore"
Make = Callable[[Machine, Instance, Mapping[str, Path], Path], Application]
"""Makes an application from the machine, the instance, mount points by mount path, and a ledger's path."""


@dataclass(frozen=True)
class Layout:
    """What a host has: a disk for each mount path, with one kind of filesystem, and applications on them."""

    paths: tuple[str, ...]
    applications: tuple[Make, ...]
    fs: str = "ext4"

    def disks(self, instance_id: str) -> dict[str, str]:
        """Disk ids by mount path."""
        stem = instance_id.removeprefix("ins-")
        return {path: f"disk-{stem}{number}" for number, path in enumerate(self.paths)}


@dataclass
class Host:
    """Everything of one host. ``disks`` maps mount paths to disk ids, in the order of the layout."""

    site: Site
    instance: Instance
    address: str
    layout: Layout
    disks: Mapping[str, str]
    mounts: Mapping[str, Path]
    applications: tuple[Application, ...]
    recovered: int = field(default=0)

    @property
    def disk_ids(self) -> tuple[str, ...]:
        """Ids of the host's disks."""
        return tuple(self.disks.values())

    @property
    def loads(self) -> tuple[Load, ...]:
        """The writers of every application."""
        return tuple(application.load for application in self.applications)

    @property
    def load(self) -> Load:
        """The writers of the first application."""
        return self.loads[0]

    @property
    def database(self) -> MariaDB:
        """The MariaDB server. Raises LabError when the host has none."""
        return self._mariadb.server

    def set_durability(self, value: int) -> None:
        """Set innodb_flush_log_at_trx_commit of the MariaDB server. Raises LabError when the host has none."""
        self._mariadb.set_durability(value)

    @property
    def _mariadb(self) -> MariaDBApplication:
        found = [application for application in self.applications if isinstance(application, MariaDBApplication)]
        if not found:
            raise LabError("this host has no MariaDB")
        return found[0]

    @contextmanager
    def held_by_hand(self) -> Iterator[None]:
        """Hold every application as its manual has people do it by hand, in order."""
        with ExitStack() as held:
            for application in self.applications:
                held.enter_context(application.held_by_hand())
            yield

    def verify(self, snapshots: Mapping[str, str]) -> Verdict:
        """Restore a set (disk id to snapshot id) onto new disks, start every application, and compare with the ledgers."""
        return verifier.together(self.verify_each(snapshots))

    def verify_each(self, snapshots: Mapping[str, str]) -> dict[str, Verdict]:
        """Do what ``verify`` does, and return a verdict for each application."""
        if set(snapshots) != set(self.disk_ids):
            raise LabError(f"only {sorted(snapshots)} of {self.disk_ids} were snapshotted: there is no set to restore")
        window = Window.around(calls_of(self.site, set(snapshots.values())))
        with self._restored(snapshots) as found:
            return {
                application.name: verifier.judge(application.load.writes, found[application.name], window)
                for application in self.applications
            }

    @contextmanager
    def _restored(self, snapshots: Mapping[str, str]) -> Iterator[dict[str, Restored]]:
        """Read what each application finds. The new disks are unmounted and deleted afterwards."""
        with self.restored_disks(snapshots) as (places, here):
            yield {application.name: application.restored(places, here) for application in self.applications}

    @contextmanager
    def restored_disks(self, snapshots: Mapping[str, str]) -> Iterator[tuple[dict[Path, Path], Instance]]:
        """Attach and mount a new disk of each snapshot; yields where each mount point of the host is now."""
        self.recovered += 1
        here = Instance(self.site.machine, RESTORE_INSTANCE)
        with ExitStack() as undo:
            places = {}
            for path, disk_id in self.disks.items():
                mount_path = f"/{self.recovered}{path}"
                new_disk, place = recover_disk(self.site, snapshots[disk_id], here, mount_path)
                undo.callback(self.site.cloud.world.remove_disk, new_disk)
                undo.callback(self.site.blocks.delete, new_disk)
                undo.callback(self.site.blocks.detach, new_disk)
                undo.callback(here.unmount, mount_path)
                places[self.mounts[path]] = place
            yield places, here


def add_host(site: Site, instance_id: str, address: str, layout: Layout) -> Host:
    """Make an instance with its disks, start its applications, and get the writers ready (not started)."""
    instance, disks = Instance(site.machine, instance_id), layout.disks(instance_id)
    site.cloud.world.add_instance(instance_id, address, tags={"backup": "nightly"}, name=instance_id)
    site.cloud.world.add_disk(f"disk-{instance_id.removeprefix('ins-')}s", 20, instance_id, SYSTEM_DISK)
    mounts = {path: _add_disk(site, instance, path, disk_id, layout.fs) for path, disk_id in disks.items()}
    ledgers = site.machine.directory("ledgers")
    applications = tuple(
        make(site.machine, instance, mounts, ledgers / f"{instance_id}-{number}.csv")
        for number, make in enumerate(layout.applications)
    )
    for application in applications:
        application.start()
    return Host(site, instance, address, layout, disks, mounts, applications)


def _add_disk(site: Site, instance: Instance, path: str, disk_id: str, fs: str) -> Path:
    site.blocks.create(disk_id, SIZE_GIB)
    site.blocks.attach(disk_id, instance.instance_id)
    site.cloud.world.add_disk(disk_id, SIZE_GIB, instance.instance_id)
    instance.format(disk_id, fs)
    return instance.mount(disk_id, path)


def calls_of(site: Site, snapshot_ids: set[str]) -> list[tuple[float, float, float]]:
    """When each call arrived, began to cut, and was answered. A call whose answer was lost ended at its cut."""
    singly = [call for call in site.cloud.record.of("CreateSnapshot") if call.snapshot_id in snapshot_ids]
    groups = [call for call in site.cloud.record.of("CreateSnapshotGroup") if snapshot_ids & set(call.member_ids)]
    return [_times(call) for call in singly + groups]


def _times(call: Call) -> tuple[float, float, float]:
    if call.cut_began_at is None or call.cut_at is None:
        raise LabError(f"what {call.action} made ({call.snapshot_id or call.member_ids}) was listed before it was cut")
    return call.arrived_at, call.cut_began_at, call.cut_at if call.answered_at is None else call.answered_at
