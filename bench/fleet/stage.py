"""The stage of a fleet: the lab's cloud with disks that are only listed, simulated instances, and the real function."""

from __future__ import annotations

import compileall
import contextlib
import importlib
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import trustme

from bench.fleet.behaviour import Simulated
from quiesce_lab import deployment
from quiesce_lab.cloud import catalog
from quiesce_lab.deployment import Secrets
from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine
from quiesce_lab.processes import Command, Process, python_env
from quiesce_lab.scf import Function
from quiesce_lab.scf_events import Queue
from quiesce_lab.site import Site

HOLD_LIMIT_S, ACQUIRE_LIMIT_S = 8.0, 1.0
PORT = 9543
"""Not the usual one: these daemons listen on every address, and those of another lab on theirs."""
START_LIMIT_S = 20.0
RETRY_AFTER_S = 35.0
"""SCF's minute, made short; longer than a hold and a preparation, so that what a killed worker had is over by then."""
TAG = ("fleet", "bench")
POLICY = f"""
[policies.nightly]
level = "application"
on_quiesce_failure = "fail"
acquire_limit_s = {ACQUIRE_LIMIT_S}
hold_limit_s = {HOLD_LIMIT_S}
expire_after_days = 7
[policies.nightly.targets.tag]
key = "{TAG[0]}"
values = ["{TAG[1]}"]
"""


class ListedOnly:
    """Disks without blocks: nothing here is about what is in them. Implements ports.BlockStore."""

    def create(self, disk_id: str, size_gib: int, *, from_snapshot: str | None = None) -> None:
        """Do nothing."""

    def snapshot(self, disk_id: str, snapshot_id: str) -> None:
        """Do nothing."""

    def attach(self, disk_id: str, instance_id: str) -> None:
        """Do nothing."""

    def copy_snapshot(self, snapshot_id: str, copy_id: str) -> None:
        """Do nothing."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Do nothing."""

    def detach(self, disk_id: str) -> None:
        """Do nothing."""

    def delete(self, disk_id: str) -> None:
        """Do nothing."""


@dataclass
class Fleet:
    """Everything that a fleet run needs. ``truth`` is written by the instances when they end."""

    site: Site
    instances: tuple[Simulated, ...]
    daemons: Process
    truth: Path
    function: Function
    queue: Queue
    certificate_key: tuple[str, str]


@contextlib.contextmanager
def fleet(state_dir: Path, count: int, *, share_twice: float, share_killed: float, seed: int) -> Iterator[Fleet]:
    """Bring an estate of so many instances up; everything is gone afterwards."""
    instances = tuple(Simulated(number) for number in range(count))
    shared = Secrets()
    with Machine(state_dir) as machine, Site(machine, blocks=ListedOnly()) as site:
        # How requests look is read by the lab at the first call of each service.
        for service in (catalog.CBS, catalog.CVM, catalog.TAG, catalog.SCF):
            importlib.import_module(service.models)
        world, settings = site.cloud.world, site.cloud.settings
        settings.latency_s = {"CreateSnapshot": 0.3}
        settings.snapshot_seconds = 1.0
        for one in instances:
            world.add_instance(one.instance_id, one.address, {TAG[0]: TAG[1]})
            world.add_disk(one.disk_id, 20, one.instance_id)
        truth = machine.directory("fleet") / "truth.json"
        daemons = machine.start(_daemons(machine, site, instances, shared, truth))
        _wait_until_listening(machine.state_dir / "fleet" / "daemons.log")
        variables = {"QUIESCE_HOOK_PORT": str(PORT), "QUIESCE_HOOK_TIMEOUT_S": "2", "QUIESCE_API_TIMEOUT_S": "5"}
        function = deployment.deploy(machine, site, shared, POLICY, variables)
        _compile(function)
        draw = random.Random(seed)
        twice, killed = _drawn(draw, share_twice, share_killed)
        queue = Queue(function, retry_after_s=RETRY_AFTER_S, comes_twice=twice, kill_after_s=killed)
        world.add_function("quiesce", queue)
        yield Fleet(site, instances, daemons, truth, function, queue, ("lab", shared.certificate_secret))


def _compile(function: Function) -> None:
    """Leave nothing for a start to compile, as in the package; not all that is installed here was imported before."""
    compileall.compile_dir(function.code_dir, quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    for packages in function.packages:
        for name in ("tencentcloud/common", "tencentcloud/scf", "tencentserverless"):
            compileall.compile_dir(packages / name, quiet=1)


def _drawn(draw: random.Random, share_twice: float, share_killed: float) -> tuple[Any, Any]:
    """Draw which batches come twice and which first workers are killed: the share of them, and at least one of each."""
    order = list(range(1, 21))
    draw.shuffle(order)
    twice = set(order[: max(1, round(share_twice * len(order)))]) if share_twice else set()
    killed = set(order[-max(1, round(share_killed * len(order))) :]) if share_killed else set()

    def comes_twice(event: Any, _copy: int) -> bool:
        return event.get("number") in twice

    def kill_after_s(event: Any, attempt: int) -> float | None:
        return draw.uniform(3.0, 30.0) if attempt == 0 and event.get("number") in killed else None

    return comes_twice, kill_after_s


def _wait_until_listening(log: Path) -> None:
    give_up_at = time.monotonic() + START_LIMIT_S
    while "listening" not in log.read_text():
        if time.monotonic() > give_up_at:
            raise LabError(f"the simulated instances do not start: {log.read_text()[-500:]}")
        time.sleep(0.02)


def _daemons(machine: Machine, site: Site, instances: tuple[Simulated, ...], shared: Secrets, truth: Path) -> Command:
    directory = machine.directory("fleet")
    issued: trustme.LeafCert = site.authority.issue_for([one.address for one in instances])
    certificate, key = directory / "chain.pem", directory / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "bench.fleet.instances",
        "--port",
        str(PORT),
        "--certificate",
        certificate,
    ]
    argv += ["--private-key", key, "--key-id", shared.hook_key_id, "--secret", shared.hook_secret, "--truth", truth]
    root = Path(__file__).resolve().parents[2]
    env = python_env()
    env["PYTHONPATH"] = ":".join([str(root), str(root / "hooks"), env.get("PYTHONPATH", "")])
    return Command("fleet", argv, directory / "daemons.log", env=env, cwd=root)
