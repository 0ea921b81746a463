"""Whatever fails inside a hold: the database is writable again in time, the verdict says less, the next run works."""

from __future__ import annotations

import os
import signal

import pytest

from quiesce_lab.cloud import faults
from quiesce_lab.cloud.faults import Fault
from quiesce_lab.deployment import HOOK_PORT
from quiesce_lab.scf import EXITED, Function
from quiesce_lab.stage import Stage
from tests.lab.conftest import HOLD_LIMIT_S
from tests.lab.situations import assert_writable, certificate_of, inside_the_hold, setting, target_of, wire_to

pytestmark = pytest.mark.lab
LEVELS = ("none", "unknown", "crash", "filesystem", "application")


def assert_the_next_run_works(lab: Stage) -> None:
    lab.site.cloud.faults.clear()
    assert target_of(lab.fire())["level"] == "application"


def slowly(lab: Stage, seconds: float = 1.0) -> None:
    lab.site.cloud.faults.set("CreateSnapshot", faults.slow(seconds))


def test_the_function_killed_inside_the_hold(lab: Stage) -> None:
    lab.host.set_durability(0)
    slowly(lab)
    event = lab.event()
    invocation = lab.function.start(event)
    before = len(lab.site.cloud.record.of("CreateSnapshot"))
    while len(lab.site.cloud.record.of("CreateSnapshot")) == before:
        assert not invocation.lines or "trouble" not in invocation.lines[-1]
    invocation.kill()
    assert invocation.wait().status == EXITED
    assert_writable(lab, within_s=HOLD_LIMIT_S + 2)
    assert setting(lab) == 0
    again = target_of(lab.function.invoke(event).value)
    assert again["level"] == "crash", "made under a hold that nobody can vouch for any more"
    (orphan,) = again["certificate"]["snapshots"].values()
    assert lab.site.cloud.world.estate().snapshots[orphan].name.endswith("-pending")
    assert_the_next_run_works(lab)


def test_the_daemon_killed_inside_the_hold(lab: Stage) -> None:
    lab.host.set_durability(0)
    slowly(lab)
    invocation = inside_the_hold(lab)
    lab.daemon.process.kill_alone()
    assert_writable(lab, within_s=2)
    done = invocation.wait()
    assert LEVELS.index(target_of(done.value)["level"]) < LEVELS.index("application")
    assert not certificate_of(done.value)["release_confirmed"]
    lab.daemon.start()
    assert setting(lab) == 0, "the daemon that starts restores what the killed one had changed"
    assert_the_next_run_works(lab)


def test_the_daemon_stopped_inside_the_hold(lab: Stage) -> None:
    slowly(lab)
    invocation = inside_the_hold(lab)
    os.kill(lab.daemon.process.pid, signal.SIGSTOP)
    try:
        assert_writable(lab, within_s=HOLD_LIMIT_S + 2)
    finally:
        os.kill(lab.daemon.process.pid, signal.SIGCONT)
    assert target_of(invocation.wait().value)["level"] == "crash"
    assert_the_next_run_works(lab)


def test_the_release_lost(lab: Stage) -> None:
    with wire_to(lab, HOOK_PORT) as wire:
        through = {**lab.function.environment, "QUIESCE_HOOK_PORT": str(wire.port)}
        function = Function(**{**vars(lab.function), "environment": through})
        slowly(lab)
        before = len(lab.site.cloud.record.of("CreateSnapshot"))
        invocation = function.start(lab.event())
        while len(lab.site.cloud.record.of("CreateSnapshot")) == before:
            assert invocation.lines is not None
        wire.cut()
        assert_writable(lab, within_s=HOLD_LIMIT_S + 2)
        done = invocation.wait()
    assert target_of(done.value)["level"] == "crash"
    assert not certificate_of(done.value)["release_confirmed"]
    assert_the_next_run_works(lab)


def test_the_lock_session_killed_by_an_administrator(lab: Stage) -> None:
    slowly(lab)
    invocation = inside_the_hold(lab)
    with lab.host.database.connect() as session, session.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE command = 'Sleep' AND id <> CONNECTION_ID()")
        for (session_id,) in cursor.fetchall():
            cursor.execute(f"KILL CONNECTION {int(session_id)}")
    done = invocation.wait()
    certificate = certificate_of(done.value)
    assert LEVELS.index(certificate["level"]) < LEVELS.index("application")
    assert any("orders" in reason for reason in certificate["reasons"])
    assert_writable(lab, within_s=2)
    assert_the_next_run_works(lab)


@pytest.mark.parametrize(
    ("fault", "level", "snapshots"),
    [
        pytest.param(faults.refuse("InvalidDisk.Busy"), "none", 0, id="refused"),
        pytest.param(faults.throttled(), "none", 0, id="throttled"),
        pytest.param(faults.hang(3.0), "none", 0, id="timed out"),
        pytest.param(faults.slow(2.5), "crash", 1, id="timed out but created"),
        pytest.param(faults.lost_response(), "crash", 1, id="created, answer lost"),
        pytest.param(faults.error_after_success(), "crash", 1, id="created, answered InternalError"),
        pytest.param(faults.null_snapshot_id(), "crash", 1, id="created, id null"),
        pytest.param(faults.not_json(), "crash", 1, id="created, answered with a page"),
        pytest.param(faults.http_500(), "none", 0, id="HTTP 500"),
    ],
)
def test_create_snapshot_fails(lab: Stage, fault: Fault, level: str, snapshots: int) -> None:
    lab.site.cloud.record.clear()
    lab.site.cloud.faults.set("CreateSnapshot", fault)
    done = lab.function.invoke(lab.event())
    target = target_of(done.value)
    assert target["level"] == level, target
    assert target["certificate"]["reasons"]
    assert len(target["certificate"]["snapshots"]) == snapshots
    assert len(lab.site.cloud.record.of("CreateSnapshot")) == 1, "never sent twice"
    assert_writable(lab, within_s=2)
    assert_the_next_run_works(lab)
