"""How long writers wait for Quiesce, by engine and by the way in which it is held, on one disk and on many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.stalls import Sample, measure_stall, summary
from quiesce_lab.engines.mariadb_app import BINLOG, DATA, REDO, UNDO, MariaDBApplication
from quiesce_lab.engines.mysql import MySQLApplication, is_here
from quiesce_lab.engines.postgres_app import PostgresApplication
from quiesce_lab.engines.redis_app import RedisApplication
from quiesce_lab.engines.sqlite_app import SqliteApplication
from quiesce_lab.host import Host, Layout, Make
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import by_function

ALONE = "only_applications_write = true"
EIGHT = (DATA, REDO, BINLOG, UNDO, "/four", "/five", "/six", "/seven")
DIRTY_MIB = 1024
_MIB = b"\0" * (1 << 20)


@dataclass(frozen=True)
class Case:
    """One engine, held in one way. ``dirty_mib`` is written to the first disk, without a sync, right before each run."""

    name: str
    paths: tuple[str, ...]
    application: Make
    settings: str = ""
    dirty_mib: int = 0


MYSQL = (
    Case("mysql backup_lock, freeze", (DATA,), MySQLApplication),
    Case("mysql lock, freeze", (DATA,), partial(MySQLApplication, daemon_mode="lock")),
    Case("mysql lock, no freeze", (DATA,), partial(MySQLApplication, daemon_mode="lock"), ALONE),
)
"""Where ``make mysql`` has fetched a server."""
CASES = (
    Case("mariadb backup_lock, no freeze", (DATA,), MariaDBApplication, ALONE),
    Case("mariadb lock, no freeze", (DATA,), partial(MariaDBApplication, daemon_mode="lock"), ALONE),
    Case("redis aof, no freeze", (DATA,), RedisApplication, ALONE),
    Case("sqlite, no freeze", (DATA,), partial(SqliteApplication, retry_ms=1.0), ALONE),
    Case("sqlite, no freeze, its own busy handler", (DATA,), SqliteApplication, ALONE),
    Case("mariadb backup_lock, freeze", (DATA,), MariaDBApplication),
    Case("mariadb lock, freeze", (DATA,), partial(MariaDBApplication, daemon_mode="lock")),
    *(MYSQL if is_here() else ()),
    Case("postgres freeze", (DATA,), PostgresApplication),
    Case("redis aof, freeze", (DATA,), RedisApplication),
    Case("mariadb backup_lock, freeze, 1 GiB dirty", (DATA,), MariaDBApplication, dirty_mib=DIRTY_MIB),
    Case("mariadb backup_lock, freeze of 8 disks", EIGHT, MariaDBApplication),
    Case("mariadb backup_lock, freeze of 8 disks, 1 GiB dirty", EIGHT, MariaDBApplication, dirty_mib=DIRTY_MIB),
    Case("mariadb backup_lock, no freeze, 1 GiB dirty", (DATA,), MariaDBApplication, ALONE, dirty_mib=DIRTY_MIB),
)


def measure_case(state_dir: Path, case: Case, runs: int, rate: float, latency_s: float) -> dict[str, Any]:
    """Measure one case. Raises LabError."""
    samples: list[Sample] = []
    said: list[dict[str, Any]] = []
    layout = Layout(case.paths, (case.application,))
    with stage(state_dir, layout=layout, daemon_settings=case.settings) as here:
        here.site.cloud.settings.latency_s["CreateSnapshot"] = latency_s
        here.host.load.start(rate)
        for _ in range(runs):
            forget_all(here)
            with dirty(here.host, case.dirty_mib):
                taken, sample = measure_stall(here, rate, by_function(here.fire))
            samples.append(sample)
            said.append(dict(taken.said))
    levels = [one["level"] for one in said]
    return {
        **summary(samples),
        "levels": {level: levels.count(level) for level in sorted(set(levels))},
        "modes": sorted({mode for one in said for mode in one["modes"].values()}),
        "freeze": sorted({one["freeze"] for one in said}),
        "hold_ms": sorted(one["hold_ms"] for one in said)[len(said) // 2],
    }


def forget_all(here: Stage) -> None:
    """Delete every snapshot once it is complete: each keeps what was dirty, and the images lie in memory."""
    here.wait_until_complete()
    for snapshot_id in list(here.site.cloud.world.estate().snapshots):
        here.site.console.cbs.call_json("DeleteSnapshots", {"SnapshotIds": [snapshot_id]})


@contextmanager
def dirty(host: Host, mib: int) -> Iterator[None]:
    """Leave this many MiB in the page cache of the host's data disk, and take the file away afterwards."""
    path = host.mounts[DATA] / "dirty"
    if mib:
        with path.open("wb", buffering=0) as file:
            for _ in range(mib):
                file.write(_MIB)
    yield
    path.unlink(missing_ok=True)
