"""A restore, written down before anybody needs it: what to call, in which order, and what each engine does then.

Two ways: ``beside`` makes new disks of the snapshots and leaves everything as it is; ``rollback`` puts the very disks back,
for which their instance has to be stopped (API reference, ApplySnapshot).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from quiesce.certificate import Certificate
from quiesce.model import Level
from quiesce.words import _

BESIDE, ROLLBACK = "beside", "rollback"


@dataclass(frozen=True)
class Step:
    """One thing to do: a ``command`` to type, or words alone."""

    what: str
    command: str = ""


def steps(
    region: str, snapshots: Mapping[str, str], level: Level, instance_id: str, way: str, certificate: Certificate | None
) -> tuple[Step, ...]:
    """Write down a restore of one set; ``snapshots``: disk id to snapshot id."""
    body = _rollback(region, snapshots, instance_id) if way == ROLLBACK else _beside(region, snapshots)
    return (*_warnings(level), *body, *_engines(certificate))


def _warnings(level: Level) -> Iterator[Step]:
    if level < Level.APPLICATION:
        warning = _("this set is {level}, not application: expect a recovery as after a power cut, and check the data")
        yield Step(warning.format(level=level.word))


def _rollback(region: str, snapshots: Mapping[str, str], instance_id: str) -> Iterator[Step]:
    yield Step(_("take a snapshot of the disks as they are now: a rollback throws away what came after"))
    yield Step(_("stop the instance"), f"tccli cvm StopInstances --region {region} --InstanceIds '[\"{instance_id}\"]'")
    for disk_id, snapshot_id in snapshots.items():
        command = f"tccli cbs ApplySnapshot --region {region} --SnapshotId {snapshot_id} --DiskId {disk_id}"
        yield Step(_("roll {disk_id} back", disk_id=disk_id), command)
    ids = ", ".join(f'"{disk_id}"' for disk_id in snapshots)
    yield Step(_("wait until no disk is Rollbacking"), f"tccli cbs DescribeDisks --region {region} --DiskIds '[{ids}]'")
    yield Step(_("start the instance"), f"tccli cvm StartInstances --region {region} --InstanceIds '[\"{instance_id}\"]'")


def _beside(region: str, snapshots: Mapping[str, str]) -> Iterator[Step]:
    for disk_id, snapshot_id in snapshots.items():
        what = _("make a new disk of {disk_id} as it was; zone and type are those of the instance that gets it")
        yield Step(
            what.format(disk_id=disk_id),
            f"tccli cbs CreateDisks --region {region} --cli-unfold-argument --Placement.Zone ZONE "
            f"--DiskChargeType POSTPAID_BY_HOUR --DiskType TYPE --SnapshotId {snapshot_id}",
        )
    yield Step(
        _("attach the new disks to an instance that is not the old one"),
        f"tccli cbs AttachDisks --region {region} --InstanceId INSTANCE --DiskIds '[NEW DISK IDS]'",
    )
    yield Step(_("mount each at its old place; a filesystem of the same UUID as one that is mounted needs nouuid (xfs)"))


def _engines(certificate: Certificate | None) -> Iterator[Step]:
    witness = certificate.witness_began if certificate else None
    if certificate is None or witness is None:
        yield Step(_("give the certificate (--certificate FILE) to see what each application needs"))
        return
    for one in witness.applications:
        position = ", ".join(f"{key} {value}" for key, value in one.position.items()) or "-"
        said = _("{name} ({engine}, held by {mode}): {how}; it stood at {position}")
        how = _recovery(one.engine, one.mode)
        yield Step(said.format(name=one.name, engine=one.engine, mode=one.mode or one.held_by, how=how, position=position))


def _recovery(engine: str, mode: str) -> str:
    """Say what an engine does with its files, and by which means of its own they are checked."""
    if mode == "backup_api":
        return _(
            "put `backup_label`, and `tablespace_map` where there is one, from the certificate's attachments into PGDATA; "
            "give it the archived WAL up to backup_stop_lsn (restore_command), and start the server"
        )
    known = {
        "mysql": _(
            "start the server on the restored paths: InnoDB recovers by itself; then `mariadb-check --all-databases` "
            "(MySQL: `mysqlcheck`). A replica begins at the position"
        ),
        "postgres": _("start the server on the restored PGDATA: it recovers by itself; then `pg_amcheck --all`"),
        "redis": _("check before starting: `redis-check-aof` or `redis-check-rdb`; then start the server"),
        "sqlite": _("open the database once: it recovers from its WAL by itself; then `PRAGMA integrity_check`"),
    }
    return known.get(engine) or _("do what your application does after a power cut, and check it by its own means")


def numbered(steps: Sequence[Step]) -> str:
    """Write steps as a numbered text."""
    lines = []
    for number, step in enumerate(steps, 1):
        lines.append(f"{number}. {step.what}")
        lines += [f"     {step.command}"] if step.command else []
    return "\n".join(lines)
