"""How a server is held: the cheapest way that suffices, and why.

lock         FLUSH TABLES WITH READ LOCK: closes every table, waits for every running statement
backup_lock  enough where InnoDB alone has data and all of it lies on the set:
             MariaDB's backup stages up to BLOCK_COMMIT, which wait for commits only (manual, BACKUP STAGE);
             MySQL's LOCK INSTANCE FOR BACKUP, which stops DDL alone: what stops the commits is the freeze
replica      the SQL threads stopped beforehand, then one of these
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quiesced.errors import Refused
from quiesced.quiescers.base import HeldBy, Scene
from quiesced.quiescers.mysql.guard import granted
from quiesced.quiescers.mysql.paths import Paths, other_engines
from quiesced.quiescers.mysql.replica import Channel
from quiesced.quiescers.mysql.session import AUTO, BACKUP_LOCK, LOCK, REPLICA, Flavor, Session

STAGES_SINCE = (10, 4, 1)
RECOVERS_SINCE = (8, 0, 30)
"""Since then MySQL's recovery and its binary log agree on XA transactions, too, wherever they were cut (release notes)."""


@dataclass(frozen=True)
class Locking:
    """Statements that take a lock, one after the other in one session, and the one that gives it back.

    ``waits_for_statements`` says that the lock is granted only after every statement and transaction on an open table.
    """

    take: tuple[str, ...]
    give: str
    waits_for_statements: bool
    held_by: HeldBy
    suffices: str = ""
    """Why it was chosen, where there was a choice."""


READ_LOCK = Locking(("FLUSH TABLES WITH READ LOCK",), "UNLOCK TABLES", True, HeldBy.LOCK)
BACKUP_STAGES = Locking(
    tuple(f"BACKUP STAGE {stage}" for stage in ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")),
    "BACKUP STAGE END",
    False,
    HeldBy.LOCK,
    "backup stages suffice: InnoDB alone has data, and every path lies on the set",
)
INSTANCE_LOCK = Locking(
    ("LOCK INSTANCE FOR BACKUP",),
    "UNLOCK INSTANCE",
    False,
    HeldBy.FREEZE,
    "backup lock and freeze suffice: InnoDB alone has data, and every path lies on the set",
)


@dataclass(frozen=True)
class Way:
    """The mode that was chosen, why, its lock, and the replication channels whose SQL threads have to stand still."""

    mode: str
    reason: str
    locking: Locking
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class Server:
    """What the choice depends on. ``against`` says why the server has no lighter lock than the read lock, if so."""

    flavor: Flavor
    channels: Sequence[Channel]
    datadir: Path
    paths: Paths
    against: str

    @property
    def running(self) -> tuple[Channel, ...]:
        """The channels that apply something."""
        return tuple(channel for channel in self.channels if channel.sql_running)


def against_light_lock(control: Session, flavor: Flavor, channels: Sequence[Channel]) -> str:
    """Say why this server has no lighter lock than the read lock; empty when it has. Raises what LOST names."""
    if flavor.mariadb:
        return "" if flavor.number >= STAGES_SINCE else "the server has no backup stages (MariaDB has, since 10.4.1)"
    if flavor.number < RECOVERS_SINCE:
        return "recovery from a freeze is relied on from MySQL 8.0.30 on only"
    if channels:
        return "it replicates, and how far it has applied is asked under a lock"
    logs, encrypted = control.rows("SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_encryption")[0]
    if not logs or encrypted:
        return f"its binary log is {'encrypted' if logs else 'off'}, and behind a freeze its position is read from there"
    return "" if "BACKUP_ADMIN" in granted(control) else "the user lacks BACKUP_ADMIN"


def choose(mode: str, server: Server, scene: Scene) -> Way:
    """Choose how to hold. Raises Refused when the mode asked for is not to be had."""
    if mode == REPLICA and not server.channels:
        raise Refused("application_unreachable", 'mode = "replica", but the server replicates from nowhere; use "auto"')
    locking, why = _locking(mode, server, scene)
    running = server.running
    if mode == REPLICA or (mode == AUTO and running):
        names = ", ".join(channel.words for channel in running) or "no SQL thread runs"
        return Way(REPLICA, f"it replicates ({names}); {why}", locking, running)
    return Way(LOCK if locking is READ_LOCK else BACKUP_LOCK, why, locking)


def _locking(mode: str, server: Server, scene: Scene) -> tuple[Locking, str]:
    if mode == LOCK:
        return READ_LOCK, "read lock, as configured"
    against = server.against or _against_data(server.datadir, server.paths, scene)
    if mode == BACKUP_LOCK and against:
        raise Refused("application_unreachable", f'mode = "backup_lock" does not suffice: {against}; use "lock" or "auto"')
    if against:
        return READ_LOCK, f"read lock, because {against}"
    chosen = BACKUP_STAGES if server.flavor.mariadb else INSTANCE_LOCK
    return chosen, chosen.suffices


def _against_data(datadir: Path, paths: Paths, scene: Scene) -> str:
    """Say what a lighter lock would miss; empty when it misses nothing."""
    outside = next((path for _, path in paths if not scene.covers(Path(path))), "")
    if outside:
        return f"{outside} does not lie on the set"
    try:
        other = other_engines(datadir)
    except OSError as error:
        return f"the datadir cannot be searched for tables of other engines: {error}"
    return f"{other} belongs to an engine other than InnoDB" if other else ""
