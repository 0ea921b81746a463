"""How a server is held: the cheapest way that suffices, and why.

    lock         FLUSH TABLES WITH READ LOCK: closes every table, waits for every running statement
    backup_lock  MariaDB's backup stages up to BLOCK_COMMIT: wait for commits only (manual, BACKUP STAGE); enough for InnoDB
    replica      the SQL threads stopped beforehand, then one of these two

MySQL's LOCK INSTANCE FOR BACKUP stops no commit, and its position cannot be read while a freeze does: it has ``lock`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quiesced.errors import Refused
from quiesced.quiescers.base import Scene
from quiesced.quiescers.mysql_paths import Paths, other_engines
from quiesced.quiescers.mysql_replica import Channel
from quiesced.quiescers.mysql_session import AUTO, BACKUP_LOCK, LOCK, REPLICA, Flavor

STAGES_SINCE = (10, 4, 1)


@dataclass(frozen=True)
class Locking:
    """Statements that take a lock, one after the other in one session, and the one that gives it back.

    ``waits_for_statements`` says that the lock is granted only after every statement and transaction on an open table.
    """

    take: tuple[str, ...]
    give: str
    waits_for_statements: bool


READ_LOCK = Locking(("FLUSH TABLES WITH READ LOCK",), "UNLOCK TABLES", True)
BACKUP_STAGES = Locking(
    tuple(f"BACKUP STAGE {stage}" for stage in ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")), "BACKUP STAGE END", False
)


@dataclass(frozen=True)
class Way:
    """The mode that was chosen, why, its lock, and the replication channels whose SQL threads have to stand still."""

    mode: str
    reason: str
    locking: Locking
    channels: tuple[Channel, ...] = ()


def choose(mode: str, flavor: Flavor, channels: Sequence[Channel], datadir: Path, paths: Paths, scene: Scene) -> Way:
    """Choose for a server that writes to these paths. Raises Refused when the mode asked for is not to be had."""
    running = tuple(channel for channel in channels if channel.sql_running)
    if mode == REPLICA and not channels:
        raise Refused("application_unreachable", 'mode = "replica", but the server replicates from nowhere; use "auto"')
    locking, why = _locking(mode, flavor, datadir, paths, scene)
    if mode == REPLICA or (mode == AUTO and running):
        names = ", ".join(channel.words for channel in running) or "no SQL thread runs"
        return Way(REPLICA, f"it replicates ({names}); {why}", locking, running)
    return Way(LOCK if locking is READ_LOCK else BACKUP_LOCK, why, locking)


def _locking(mode: str, flavor: Flavor, datadir: Path, paths: Paths, scene: Scene) -> tuple[Locking, str]:
    if mode == LOCK:
        return READ_LOCK, "read lock, as configured"
    against = _against_stages(flavor, datadir, paths, scene)
    if mode == BACKUP_LOCK and against:
        raise Refused("application_unreachable", f'mode = "backup_lock" does not suffice: {against}; use "lock" or "auto"')
    if against:
        return READ_LOCK, f"read lock, because {against}"
    return BACKUP_STAGES, "backup stages suffice: InnoDB alone has data, and every path lies on the set"


def _against_stages(flavor: Flavor, datadir: Path, paths: Paths, scene: Scene) -> str:
    """Say why the backup stages would not do; empty when they do."""
    if not flavor.mariadb or flavor.number < STAGES_SINCE:
        return "the server has no backup stages (MariaDB has, since 10.4.1)"
    outside = next((path for _, path in paths if not scene.covers(Path(path))), "")
    if outside:
        return f"{outside} does not lie on the set"
    try:
        other = other_engines(datadir)
    except OSError as error:
        return f"the datadir cannot be searched for tables of other engines: {error}"
    return f"{other} belongs to an engine other than InnoDB" if other else ""
