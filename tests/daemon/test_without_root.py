"""The real daemon as an ordinary user with CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH and nothing else, on a real disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quiesced.freeze import LinuxIoctls
from tests.daemon.hook_caller import KEY_ID, SECRET, Site, ask, connected
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.test_cli import HOOKS, free_port
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.lab,
    needs_root,
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)"),
]
UID = 64_123  # nobody's, so that no file of the machine is its own
BITS = {"CAP_DAC_READ_SEARCH": 2, "CAP_IPC_LOCK": 14, "CAP_SYS_ADMIN": 21}
THE_TWO = ("CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN")
LIMITS = {"acquire_limit_s": 3.0, "hold_limit_s": 15.0}


UNLIMITED = ("prlimit", "--memlock=unlimited")
"""What LimitMEMLOCK=infinity of the service does."""


def may_lift_the_limit() -> bool:
    """Whether this machine lets root lift the limit on locked memory (CAP_SYS_RESOURCE; containers often lack it)."""
    return subprocess.run([*UNLIMITED, "true"], capture_output=True, check=False).returncode == 0


def enough_to_hold() -> tuple[str, ...]:
    """Return the two; where the limit cannot be lifted, CAP_IPC_LOCK as well, which lifts it and does nothing else here."""
    return THE_TWO if may_lift_the_limit() else (*THE_TWO, "CAP_IPC_LOCK")


def setpriv(*capabilities: str) -> list[str]:
    """Become the ordinary user with these capabilities, and never get another."""
    names = ["-all", *(f"+{name[len('CAP_') :].lower()}" for name in capabilities)]
    given = ",".join(names)
    ids = ["--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--no-new-privs"]
    return ["setpriv", *ids, "--inh-caps", given, "--ambient-caps", given, "--bounding-set", given]


@dataclass
class Host:
    """A configured host whose daemon may be started with some capabilities."""

    root: Path
    site: Site
    port: int
    config: Path

    @contextmanager
    def daemon(self, *capabilities: str) -> Iterator[subprocess.Popen[str]]:
        log = self.root / "log"
        argv = [*(UNLIMITED if may_lift_the_limit() else ()), *setpriv(*capabilities)]
        argv += [sys.executable, "-B", "-m", "quiesced", "serve", "--config", str(self.config)]
        with log.open("w") as stream:
            process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(HOOKS)}, stderr=stream, text=True, cwd="/")
        try:
            wait_until(lambda: "serving" in log.read_text() or process.poll() is not None, 20)
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.terminate()
            process.wait(20)

    def ask(self, name: str, **fields: object) -> Any:
        body = json.dumps({"protocol": 1, **fields}).encode()
        with connected(self.port, self.site.context()) as connection:
            status, answer = ask(connection, "POST", f"/v1/{name}", body)
        assert status == 200, answer
        return answer


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path, ("ext4", "xfs")) as made:
        for disk in made.disks:
            disk.mount_point.chmod(0o700)  # root's, as a database's directory is its own user's
        yield made


@pytest.fixture
def host(tmp_path: Path, disks: LoopDisks) -> Host:
    etc = tmp_path / "etc"
    etc.mkdir(mode=0o750)
    site, port, state = Site(etc), free_port(), tmp_path / "state"
    listen = site.listen()
    (etc / "hook.key").write_bytes(SECRET)
    config = etc / "quiesced.toml"
    config.write_text(
        f"""
disk_by_id_dir = "{disks.by_id_dir}"
state_dir = "{state}"
[listen]
host = "127.0.0.1"
port = {port}
certificate = "{listen.certificate}"
private_key = "{listen.private_key}"
[keys]
{KEY_ID} = "{etc}/hook.key"
[limits]
acquire_limit_s = 5
hold_limit_s = 20
"""
    )
    state.mkdir(mode=0o700)
    os.chown(state, UID, UID)
    for path in (etc, *etc.iterdir()):  # as install.sh does it
        os.chown(path, 0, UID)
        path.chmod(0o750 if path.is_dir() else 0o640)
    return Host(tmp_path, site, port, config)


def may_enter_the_interpreter() -> bool:
    """Whether the ordinary user can run this Python at all: it may lie in a home directory."""
    argv = [*setpriv(*THE_TWO), sys.executable, "-c", ""]
    return subprocess.run(argv, capture_output=True, check=False, cwd="/").returncode == 0


def capability_sets(pid: int) -> dict[str, int]:
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(rows[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def children(pid: int) -> list[int]:
    lines = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(number) for line in lines for number in line]


def test_a_signed_hold_from_check_to_release(host: Host, disks: LoopDisks) -> None:
    if not may_enter_the_interpreter():
        pytest.skip("an ordinary user cannot run this Python")
    capabilities = enough_to_hold()
    exactly = sum(1 << BITS[name] for name in capabilities)
    with host.daemon(*capabilities) as daemon:
        assert set(capability_sets(daemon.pid).values()) == {exactly}
        assert Path(f"/proc/{daemon.pid}").stat().st_uid == UID
        asked = {"run_id": "run-1", "disks": ["disk-0", "disk-1"], **LIMITS}
        checked = host.ask("check", **asked)
        assert (checked["ready"], checked["refusals"]) == (True, [])
        held = host.ask("quiesce", lease_id="lease-1", prior_holds=0, **asked)
        assert held["state"] == "held", held["refusal"]
        assert [seen["frozen"] for seen in held["witness"]["filesystems"]] == [True, True]
        assert [disks.is_frozen(number) for number in (0, 1)] == [True, True]
        (guardian,) = children(daemon.pid)
        assert capability_sets(guardian)["CapEff"] == exactly
        assert "VmLck:\t       0 kB" not in Path(f"/proc/{guardian}/status").read_text()
        told = host.ask("release", lease_id="lease-1")
        assert (told["state"], told["held_without_gap"], told["reason"]) == ("released", True, "")
    assert not any(disks.is_frozen(number) for number in (0, 1))


def test_with_the_two_alone_nothing_but_the_limit_on_locked_memory_can_stand_in_the_way(
    host: Host, disks: LoopDisks
) -> None:
    if not may_enter_the_interpreter():
        pytest.skip("an ordinary user cannot run this Python")
    with host.daemon(*THE_TWO):
        asked = {"run_id": "run-1", "disks": ["disk-0", "disk-1"], **LIMITS}
        assert host.ask("check", **asked)["ready"]
        answer = host.ask("quiesce", lease_id="lease-1", prior_holds=0, **asked)
        if may_lift_the_limit():
            assert answer["state"] == "held"
        else:
            assert answer["refusal"]["code"] == "guardian_failed" and "mlockall" in answer["refusal"]["message"]
        host.ask("release", lease_id="lease-1")
    assert not any(disks.is_frozen(number) for number in (0, 1))


def test_without_the_capability_to_freeze_the_hold_is_refused_and_nothing_is_held(host: Host, disks: LoopDisks) -> None:
    """Shows that the first test would notice a capability that is missing."""
    if not may_enter_the_interpreter():
        pytest.skip("an ordinary user cannot run this Python")
    with host.daemon(*(name for name in enough_to_hold() if name != "CAP_SYS_ADMIN")):
        asked = {"run_id": "run-1", "disks": ["disk-0"], **LIMITS}
        refused = host.ask("quiesce", lease_id="lease-1", prior_holds=0, **asked)
    assert (refused["state"], refused["refusal"]["code"]) == ("refused", "freeze_failed")
    assert not disks.is_frozen(0)


def rehearse(host: Host) -> dict[str, Any]:
    """Rehearse as root and return the report."""
    options = ["--config", str(host.config), "--output", "json", "--hold-s", "0.2"]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "quiesced", "rehearse", *options],
        env={**os.environ, "PYTHONPATH": str(HOOKS)},
        stdout=subprocess.PIPE,
        timeout=90,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_rehearsal_of_root_leaves_the_service_able_to_hold(host: Host, disks: LoopDisks) -> None:
    if not may_enter_the_interpreter():
        pytest.skip("an ordinary user cannot run this Python")
    assert rehearse(host)["safe"]
    with host.daemon(*enough_to_hold()):
        report = rehearse(host)
        assert (report["safe"], report["through"]) == (True, "the running service, over its own port")
        asked = {"run_id": "run-1", "disks": ["disk-0"], **LIMITS}
        assert host.ask("quiesce", lease_id="lease-1", prior_holds=0, **asked)["state"] == "held"
        assert host.ask("release", lease_id="lease-1")["held_without_gap"]
    assert not disks.is_frozen(0)


def test_what_root_could_hold_and_the_service_cannot_is_not_called_safe(host: Host, disks: LoopDisks) -> None:
    if not may_enter_the_interpreter():
        pytest.skip("an ordinary user cannot run this Python")
    with host.daemon(*(name for name in enough_to_hold() if name != "CAP_SYS_ADMIN")):
        report = rehearse(host)
    assert (report["safe"], [reason["code"] for reason in report["reasons"]]) == (False, ["freeze_failed"])
    assert not any(disks.is_frozen(number) for number in (0, 1))


def test_what_a_rehearsal_left_is_healed_by_a_service_that_is_not_root(host: Host, disks: LoopDisks) -> None:
    if not may_enter_the_interpreter():
        pytest.skip("an ordinary user cannot run this Python")
    mount_point = disks.disks[0].mount_point
    number = mount_point.stat().st_dev
    mount = {"mount_point": str(mount_point), "device": f"{os.major(number)}:{os.minor(number)}"}
    left = host.root / "state" / "rehearsal"
    left.mkdir(mode=0o700)
    held = {"lease_id": "rehearsal-1", "mounts": [mount], "expedited": False, "leftovers": []}
    (left / "held.json").write_text(json.dumps(held))  # root's, in a directory that was given to the service's user
    os.chown(left, UID, UID)
    with disks.opened(0) as fd:
        LinuxIoctls().freeze(fd)
    with host.daemon(*enough_to_hold()):
        assert not disks.is_frozen(0)
    assert not (left / "held.json").exists()
