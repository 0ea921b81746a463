"""Three database hosts, money moving between them, and policies for them: as a group, at once, and each by itself."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from quiesce_lab import daemon, deployment
from quiesce_lab.deployment import Secrets
from quiesce_lab.engines.mariadb import MariaDB
from quiesce_lab.engines.mariadb_app import DATA
from quiesce_lab.engines.mariadb_restore import moved
from quiesce_lab.host import RESTORE_INSTANCE, Host, add_host
from quiesce_lab.layouts import mariadb_on
from quiesce_lab.machine import Machine
from quiesce_lab.scf import Function
from quiesce_lab.site import Site
from quiesce_lab.stage import RESTORE_ADDRESS, SNAPSHOT_SECONDS
from quiesce_lab.trial import report_of
from tests.shards import money
from tests.shards.money import Bank, Sum
from tests.waiting import wait_until

SHARDS = {"ins-shard1": "127.77.0.11", "ins-shard2": "127.77.0.12", "ins-shard3": "127.77.0.13"}
MORE_MONEY = 200
"""Transfers made before each set, so that there is something to be torn."""


def _policies() -> str:
    names = ", ".join(f'"{name}"' for name in SHARDS)
    common = 'level = "application"\nacquire_limit_s = 2.0\nhold_limit_s = 15.0\n'
    groups = {"together": ("true", names), "at-once": ("false", names)}
    groups |= {name.removeprefix("ins-"): ("false", f'"{name}"') for name in SHARDS}
    return "".join(
        f"[policies.{policy}]\n{common}consistency_group = {group}\n[policies.{policy}.targets]\ninstances = [{which}]\n"
        for policy, (group, which) in groups.items()
    )


@dataclass
class Estate:
    """The hosts under transfers, and the function."""

    site: Site
    hosts: tuple[Host, ...]
    function: Function
    bank: Bank
    _fired: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fire(self, policy: str) -> Mapping[str, Any]:
        """Let money move, fire the timer of a policy, and return the run's report."""
        before = self.bank.done
        wait_until(lambda: self.bank.done > before + MORE_MONEY, timeout_s=30)
        wait_until(lambda: not self.site.cloud.world.creating(), timeout_s=30)
        moment = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc) + timedelta(minutes=next(self._fired))
        return report_of(self.function.invoke(deployment.timer_event(policy, moment)).value)

    def fire_one_by_one(self) -> Mapping[str, Any]:
        """Fire a timer for each host, one behind the other, and return all of it as one report."""
        reports = [self.fire(name.removeprefix("ins-")) for name in SHARDS]
        return {"targets": [target for report in reports for target in report["targets"]]}

    def restore(self, report: Mapping[str, Any]) -> Sum:
        """Restore every host's snapshots of one run, and count the money."""
        shards = []
        for host in self.hosts:
            target = next(one for one in report["targets"] if one["instance_id"] == host.instance.instance_id)
            with host.restored_disks(target["certificate"]["snapshots"]) as (places, here):
                options = moved(host.database.options, places)
                datadir = places[host.mounts[DATA]] / host.database.datadir.name
                server = MariaDB(self.site.machine, datadir, run_dir=here.run_dir / "restored", options=options)
                server.error_log.unlink(missing_ok=True)
                try:
                    server.start()
                    with server.connect() as session:
                        shards.append(money.read(session))
                finally:
                    server.kill()
        return money.count(shards)


@contextlib.contextmanager
def estate(state_dir: Path) -> Iterator[Estate]:
    """Bring everything up; everything is gone afterwards."""
    with Machine(state_dir) as machine, Site(machine) as site:
        site.cloud.settings.snapshot_seconds = SNAPSHOT_SECONDS
        site.cloud.world.add_instance(RESTORE_INSTANCE, RESTORE_ADDRESS)
        shared = Secrets()
        hosts = tuple(add_host(site, name, address, mariadb_on(1)) for name, address in SHARDS.items())
        for host in hosts:
            money.open_bank(host.database.socket)
            daemon.install(host, shared).start()
        function = deployment.deploy(machine, site, shared, _policies(), {})
        bank = Bank([host.database.socket for host in hosts])
        bank.start()
        try:
            yield Estate(site, hosts, function, bank)
        finally:
            bank.stop()
            for host in hosts:
                for application in host.applications:
                    application.stop()
