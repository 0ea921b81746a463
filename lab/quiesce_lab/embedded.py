"""The embedded form, for a machine where mounting is not allowed: SQLite on a disk that is a directory.

It shows one engine's hold against the same cloud, by the daemon's own quiescer. Nothing can be frozen in it, so there
is no certificate: a directory that is copied file by file is no disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quiesce_lab import rivals, verifier
from quiesce_lab.daemon import HOOKS
from quiesce_lab.engines.sqlite_restore import read_sqlite
from quiesce_lab.errors import LabError
from quiesce_lab.host import RESTORE_INSTANCE, calls_of
from quiesce_lab.instances import Instance
from quiesce_lab.load import SQLITE, Load
from quiesce_lab.machine import Machine
from quiesce_lab.processes import python_env
from quiesce_lab.recovery import recover_disk
from quiesce_lab.site import Site
from quiesce_lab.verifier import Verdict, Window

DISK, INSTANCE, MOUNT, DATABASE = "disk-embedded", "ins-embedded", "/data", "orders.db"
WARM_UP = 400
RATE = 500.0
ATTEMPTS = 5
Say = Callable[[str], None]
Take = Callable[[str], str]


def run(state_dir: Path, output: Path | None, say: Say) -> bool:
    """Run both sides and write the results; returns whether the held copy is whole. Raises LabError."""
    with Machine(state_dir) as machine, Site(machine, real_disks=False) as site:
        site.cloud.settings.snapshot_seconds = 0.5
        database, load = _bring_up(machine, site)
        without, attempt = _until_broken(site, load, lambda name: _bare(site, name))
        say(f"Without quiescing: {_words(without)} (Copy {attempt} of at most {ATTEMPTS}.)")
        held = _trial(site, load, lambda name: _held(site, database, name), "held")
        say(f"With SQLite's write lock held: {_words(held)}")
        load.stop()
    results: dict[str, Any] = {
        "lab": {"form": "embedded", "create_snapshot_latency_s": 0.3},
        "without_quiescing": {**asdict(without), "attempt": attempt},
        "with_quiescing": {**asdict(held), "level": "not certified: nothing can be frozen here"},
        "kept_its_word": held.consistent,
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=2) + "\n")
    return held.consistent


def _bring_up(machine: Machine, site: Site) -> tuple[Path, Load]:
    for instance_id, address in ((INSTANCE, "127.77.1.1"), (RESTORE_INSTANCE, "127.77.1.2")):
        site.cloud.world.add_instance(instance_id, address)
    instance = Instance(machine, INSTANCE, in_memory_run=False)
    site.blocks.create(DISK, 1)
    site.blocks.attach(DISK, INSTANCE)
    site.cloud.world.add_disk(DISK, 1, INSTANCE)
    database = instance.mount(DISK, MOUNT) / DATABASE
    load = Load(machine, SQLITE, database, machine.directory("ledgers") / "embedded.csv")
    load.start(RATE)
    return database, load


def _bare(site: Site, name: str) -> str:
    return rivals.without_quiescing(site.console, nullcontext, [DISK], name)[0]


def _held(site: Site, database: Path, name: str) -> str:
    """Hold the write lock around the call, in a process of its own as the daemon is."""
    argv = [sys.executable, "-m", "quiesce_lab.sqlite_hold", str(database.resolve())]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=python_env(HOOKS)) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        said = holder.stdout.readline().strip()
        if said != "held":
            raise LabError(f"the database could not be held: {said}")
        snapshot_id = _bare(site, name)
        holder.stdin.write("release\n")
        holder.stdin.flush()
    return snapshot_id


def _until_broken(site: Site, load: Load, take: Take) -> tuple[Verdict, int]:
    for attempt in range(1, ATTEMPTS):
        verdict = _trial(site, load, take, f"bare-{attempt}")
        if not verdict.consistent:
            return verdict, attempt
    return _trial(site, load, take, f"bare-{ATTEMPTS}"), ATTEMPTS


def _trial(site: Site, load: Load, take: Take, name: str) -> Verdict:
    load.wait_until_acked(load.acked() + WARM_UP)
    snapshot_id = take(f"embedded-{name}")
    load.wait_until_acked(load.acked() + 20)
    here = Instance(site.machine, RESTORE_INSTANCE, in_memory_run=False)
    disk_id, place = recover_disk(site, snapshot_id, here, f"/{name}")
    restored = read_sqlite(place / DATABASE)
    here.unmount(f"/{name}")
    site.blocks.detach(disk_id)
    site.blocks.delete(disk_id)
    return verifier.judge(load.writes, restored, Window.around(calls_of(site, {snapshot_id})))


def _words(verdict: Verdict) -> str:
    if not verdict.starts or verdict.damage:
        return f"the copy is damaged: {' '.join((*verdict.error_log, *verdict.damage))[:120]}"
    if verdict.consistent:
        return f"nothing was lost: all of {verdict.rows} rows, none from after the hold, no gap."
    return (
        f"{verdict.lost} acknowledged commits lost, {verdict.from_after_the_hold} rows from after the call began, "
        f"{verdict.gaps} gaps."
    )
