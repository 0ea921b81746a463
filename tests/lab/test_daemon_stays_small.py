"""The daemon as it is installed, after many holds of a real server: as small as at its start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from scripts import package_daemon

from quiesce.adapters.hook_client import HookClient
from quiesce.holds import QuiesceRequest, ReleaseRequest
from quiesce.model import Limits
from quiesce.variables import Key
from quiesce_lab.daemon import Daemon
from quiesce_lab.deployment import HOOK_PORT
from quiesce_lab.stage import Stage
from tests.function.settings_for import hook_settings
from tests.package.interpreters import python_or_skip
from tests.package.test_precompiled import ALONE, MOST_KIB, precompiled, resident_kib

pytestmark = pytest.mark.lab
HOLDS = 24
"""More than there are threads to serve them, each of which may keep something."""


@pytest.fixture
def installed(lab: Stage, tmp_path: Path) -> Iterator[Daemon]:
    """The lab's daemon, run from the zipapp as the service runs it, in the place of the one from the sources."""
    package_daemon.build(tmp_path / "daemon", tmp_path / "quiesced.pyz")
    program = precompiled(tmp_path / "quiesced.pyz", "3.11", tmp_path / "installed.pyz")
    lab.daemon.stop()
    daemon = replace(lab.daemon, python=python_or_skip("3.11"), program=(*ALONE, str(program)), _process=None)
    daemon.start()
    yield daemon
    daemon.stop()
    lab.daemon.start()


def test_after_many_holds_the_daemon_takes_at_most_40_mb(lab: Stage, installed: Daemon) -> None:
    for number in range(HOLDS):
        hold(lab, f"{number:016}")

    assert resident_kib(installed.process.pid) <= MOST_KIB


def hold(lab: Stage, lease_id: str) -> None:
    key = Key(lab.shared.hook_key_id, lab.shared.hook_secret.encode())
    settings = msgspec.structs.replace(hook_settings(HOOK_PORT, lab.site.authority.ca_pem), key=key)
    client = HookClient(lab.host.address, settings, Limits(2.0, 5.0))
    asked = QuiesceRequest(
        lease_id=lease_id,
        run_id=f"small-{lease_id}",
        prior_holds=0,
        disks=tuple(lab.host.disk_ids),
        acquire_limit_s=2.0,
        hold_limit_s=5.0,
    )
    try:
        assert client.prepare(asked).state == "prepared"
        assert client.quiesce(asked).state == "held"
        assert client.release(ReleaseRequest(lease_id=lease_id)).held_without_gap
    finally:
        client.close()
