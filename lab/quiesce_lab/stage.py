"""The lab's usual stage: a cloud, one database host under load, its hook daemon, and the deployed function."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from quiesce_lab import daemon, deployment
from quiesce_lab.daemon import Daemon
from quiesce_lab.deployment import Secrets
from quiesce_lab.errors import LabError
from quiesce_lab.host import RESTORE_INSTANCE, Host, Layout, add_host
from quiesce_lab.layouts import mariadb_on
from quiesce_lab.machine import Machine
from quiesce_lab.scf import Function
from quiesce_lab.site import Site
from quiesce_lab.trial import report_of

INSTANCE, ADDRESS, RESTORE_ADDRESS = "ins-orders01", "127.77.0.1", "127.77.0.250"
SNAPSHOT_SECONDS = 0.5
"""How long the stage's snapshots take until NORMAL: long after the call, short enough for many trials."""
COMPLETE_LIMIT_S = 10.0


@dataclass
class Stage:
    """Everything that a trial needs."""

    site: Site
    host: Host
    daemon: Daemon
    function: Function
    shared: Secrets
    _fired: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def event(self) -> dict[str, object]:
        """Make the timer event of the next scheduled moment: each one is a run of its own.

        It comes when the snapshots of the last one are complete, as scheduled moments do. Raises LabError.
        """
        self.wait_until_complete()
        moment = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc) + timedelta(minutes=next(self._fired))
        return deployment.timer_event(at=moment)

    def fire(self) -> Mapping[str, Any]:
        """Fire the timer once and return the run's report. Raises LabError when there is none."""
        return report_of(self.function.invoke(self.event()).value)

    def wait_until_complete(self) -> None:
        """Wait until no disk is being snapshotted. Raises LabError."""
        give_up_at = time.monotonic() + COMPLETE_LIMIT_S
        while self.site.cloud.world.creating():
            if time.monotonic() > give_up_at:
                raise LabError(f"snapshots do not get complete: {self.site.cloud.world.creating()}")
            time.sleep(0.02)


@contextlib.contextmanager
def stage(
    state_dir: Path,
    *,
    layout: Layout | None = None,
    disks: int = 1,
    fs: str = "ext4",
    daemon_settings: str = "",
    address: str = ADDRESS,
    variables: Mapping[str, str] | None = None,
    policy: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Bring everything up, with the writers not yet started; everything is gone afterwards.

    Without a ``layout`` the host has MariaDB on ``disks`` disks. ``daemon_settings`` are TOML lines of the daemon's own.

    ``variables`` are added to the function's own, ``policy`` holds TOML values for its one policy.
    """
    with Machine(state_dir) as machine, Site(machine) as site:
        site.cloud.settings.snapshot_seconds = SNAPSHOT_SECONDS
        site.cloud.world.add_instance(RESTORE_INSTANCE, RESTORE_ADDRESS)
        host = add_host(site, INSTANCE, address, layout or mariadb_on(disks, fs))
        shared = Secrets()
        hook = daemon.install(host, shared, daemon_settings)
        hook.start()
        function = deployment.deploy(
            machine, site, shared, deployment.policy_text(INSTANCE, **(policy or {})), variables or {}
        )
        yield Stage(site, host, hook, function, shared)
        for application in host.applications:
            application.load.stop()
            application.stop()
