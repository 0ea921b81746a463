"""`quiesced rehearse` on real disks: what it calls safe was held, killed and let go of."""

from __future__ import annotations

import functools
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesced.freeze import LinuxIoctls
from tests.daemon import mariadb
from tests.daemon.hook_caller import ask, connected
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.mariadb import needs_mariadb
from tests.daemon.rehearsals import ENVIRONMENT, Instance, instance, sqlite_table
from tests.daemon.test_cli import HOOKS
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_root]
HOLD_S = 0.3
QUIESCE = {"protocol": 1, "lease_id": "lease-of-the-function", "run_id": "run-1", "prior_holds": 0, "disks": ["disk-0"]}
LIMITS = {"acquire_limit_s": 3.0, "hold_limit_s": 15.0}


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ("ext4", "xfs")) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path, disks: LoopDisks) -> Instance:
    return instance(tmp_path, disks, [sqlite_table(disks.disks[0].mount_point / "app" / "orders.db")])


def codes(report: dict[str, object]) -> list[str]:
    reasons = report["reasons"]
    assert isinstance(reasons, list)
    return [reason["code"] for reason in reasons]


def test_an_instance_that_can_be_held_is_safe_and_its_stall_and_thaw_are_measured(host: Instance) -> None:
    status, report = host.rehearse("--hold-s", str(HOLD_S))
    assert (status, report["verdict"], report["reasons"]) == (0, "safe to enable", [])
    assert report["disks"] == ["disk-0", "disk-1"]
    stalls = [stalled["stall_s"] for stalled in report["held"]["stalls"]]
    assert len(stalls) == 2 and all(stall_s > HOLD_S / 2 for stall_s in stalls)  # a write may begin within the hold
    assert report["held"]["without_gap"] and report["held"]["held_s"] >= HOLD_S
    assert all(stalled["usual_s"] < stalled["stall_s"] for stalled in report["held"]["stalls"])
    steps = [step["name"] for step in report["held"]["steps"]]
    assert steps == ["preflush", "arm", "lock", "freeze", "witness", "witness", "thaw", "unlock"]
    thaws = report["killed"]["thaws"]
    assert len(thaws) == 2 and all(thawed["thaw_s"] > 0 for thawed in thaws)  # how soon is in the verdict
    assert report["killed"]["unlocked_by"] == "the guardian"
    assert host.holds_nothing()
    assert not (host.state_dir / "rehearsal").exists()


def test_a_running_service_is_asked_to_hold_and_goes_on_serving(host: Instance) -> None:
    with host.service() as service:
        status, report = host.rehearse("--hold-s", str(HOLD_S))
        assert service.poll() is None
        with connected(host.port, host.site.context()) as connection:
            connection.request("GET", "/metrics")
            metrics = connection.getresponse().read().decode()
    assert (status, report["through"]) == (0, "the running service, over its own port")
    assert "quiesced_holds_granted_total 1.0" in metrics  # the other hold was the killed holder's
    assert host.holds_nothing()


def test_what_the_service_holds_is_left_alone(host: Instance) -> None:
    with host.service(), connected(host.port, host.site.context()) as connection:
        asked = json.dumps({**QUIESCE, **LIMITS}).encode()
        assert ask(connection, "POST", "/v1/quiesce", asked)[1]["state"] == "held"
        status, report = host.rehearse()
        assert (status, report["verdict"], codes(report)) == (1, "not safe", ["busy"])
        assert "lease-of-the-function" in report["reasons"][0]["message"]
        release = json.dumps({"protocol": 1, "lease_id": QUIESCE["lease_id"]}).encode()
        assert ask(connection, "POST", "/v1/release", release)[1]["held_without_gap"]


def test_what_a_dead_daemon_left_has_to_be_healed_first(host: Instance) -> None:
    with host.service() as service, connected(host.port, host.site.context()) as connection:
        ask(connection, "POST", "/v1/quiesce", json.dumps({**QUIESCE, **LIMITS}).encode())
        service.kill()
        service.wait()
    status, report = host.rehearse()
    assert (status, codes(report)) == (1, ["left_held"])
    assert report["reasons"][0]["remedy"] == "run: quiesced heal"
    assert host.run("heal").returncode == 0
    assert host.rehearse("--hold-s", str(HOLD_S))[0] == 0


def test_a_configuration_that_cannot_be_used_is_status_4(host: Instance) -> None:
    host.config.write_text(host.config.read_text().replace("hold_limit_s = 20", "hold_limit_s = 0"))
    done = host.run("rehearse")
    assert done.returncode == 4
    assert "limits.hold_limit_s: must be seconds" in done.stderr


def test_a_hold_longer_than_the_owner_allows_is_status_4(host: Instance) -> None:
    done = host.run("rehearse", "--hold-s", "20")
    assert done.returncode == 4
    assert "limits.hold_limit_s = 20" in done.stderr


def test_a_disk_that_may_not_be_frozen_is_not_safe_and_is_left_out_when_nobody_named_it(host: Instance) -> None:
    never = f'never_freeze = ["{host.disks.disks[1].mount_point}"]\n'
    host.config.write_text(never + host.config.read_text())
    status, report = host.rehearse("--disks", "disk-0,disk-1")
    assert (status, codes(report), report["held"]) == (1, ["unsafe_mount"], None)
    status, report = host.rehearse("--hold-s", str(HOLD_S))
    assert (status, report["disks"]) == (0, ["disk-0"])
    assert any(note.startswith("disk-1 was left out") for note in report["notes"])


def test_a_disk_that_is_not_there_is_not_safe(host: Instance) -> None:
    status, report = host.rehearse("--disks", "disk-9")
    assert (status, codes(report)) == (1, ["unknown_disk"])


def test_a_filesystem_that_somebody_else_has_frozen_is_not_safe(host: Instance) -> None:
    with host.disks.opened(1) as fd:
        LinuxIoctls().freeze(fd)
        try:
            status, report = host.rehearse("--disks", "disk-1")
        finally:
            LinuxIoctls().thaw(fd)
    assert (status, codes(report)) == (1, ["probe_failed"])
    assert "frozen" in report["reasons"][0]["message"]


def test_a_guardian_that_does_not_thaw_is_found_out_and_what_it_left_is_let_go(host: Instance, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(HOOKS / "quiesced", broken / "quiesced")
    guardian = broken / "quiesced" / "guardian.py"
    guardian.write_text(guardian.read_text().replace("FITHAW = 0xC0045878", "FITHAW = 0"))
    argv = [*host.argv("rehearse", "--output", "json", "--hold-s", str(HOLD_S))]
    done = subprocess.run(
        argv, env={**ENVIRONMENT, "PYTHONPATH": str(broken)}, capture_output=True, text=True, timeout=90, check=False
    )
    report = json.loads(done.stdout)
    assert (done.returncode, codes(report)) == (1, ["stays_frozen", "stays_frozen"])
    assert "fsfreeze --unfreeze" in report["reasons"][0]["remedy"]
    assert host.holds_nothing()


def test_a_rehearsal_that_is_killed_leaves_nothing_held(host: Instance) -> None:
    process = subprocess.Popen(host.argv("rehearse", "--hold-s", "10"), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    held = host.state_dir / "rehearsal" / "held.json"
    wait_until(held.exists, 20)
    wait_until(lambda: host.disks.is_frozen(0), every_s=0.2)
    process.kill()
    process.wait()
    wait_until(host.holds_nothing, every_s=0.2)


def test_an_interrupt_at_the_terminal_lets_go(host: Instance) -> None:
    process = subprocess.Popen(
        host.argv("rehearse", "--hold-s", "10"),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # What runs in the background of a script ignores the keyboard, and so would its children.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    wait_until((host.state_dir / "rehearsal" / "held.json").exists, 20)
    wait_until(lambda: host.disks.is_frozen(0), every_s=0.2)
    process.send_signal(signal.SIGINT)
    process.wait(20)
    wait_until(host.holds_nothing, every_s=0.2)


def test_what_a_rehearsal_left_when_all_of_it_was_killed_is_healed_by_the_next_daemon(host: Instance) -> None:
    held = {"lease_id": "rehearsal-1", "mounts": [], "expedited": False, "leftovers": []}
    mount_point = host.disks.disks[0].mount_point
    number = mount_point.stat().st_dev
    held["mounts"] = [{"mount_point": str(mount_point), "device": f"{number >> 8}:{number & 255}"}]
    (host.state_dir / "rehearsal").mkdir(parents=True)
    (host.state_dir / "rehearsal" / "held.json").write_text(json.dumps(held))
    with host.disks.opened(0) as fd:
        LinuxIoctls().freeze(fd)
    assert host.run("heal").returncode == 0
    assert host.holds_nothing()


def test_the_page_is_one_file_with_the_verdict_and_the_figures(host: Instance, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = host.run("rehearse", "--hold-s", str(HOLD_S), "--page", str(page))
    assert done.returncode == 0
    assert done.stdout.startswith("safe to enable")
    text = page.read_text()
    assert "<h1>safe to enable</h1>" in text and "after the holder was killed (SIGKILL)" in text
    assert "src=" not in text and "href=" not in text


@needs_mariadb
def test_a_database_is_locked_and_its_sessions_end_with_the_killed_holder(tmp_path: Path) -> None:
    with loop_disks(tmp_path / "disks", ("ext4",), size_mib=400) as disks:
        datadir = disks.disks[0].mount_point / "data"
        mariadb.install(datadir)
        with mariadb.running(datadir, "--log-bin=binlog", "--server-id=1") as server:
            server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
            table = f'name = "orders"\nengine = "mysql"\nsocket = "{server.socket}"\nuser = "root"'
            host = instance(tmp_path, disks, [table])
            status, report = host.rehearse("--hold-s", str(HOLD_S))
            assert (status, report["reasons"]) == (0, [])
            assert report["check"]["applications"][0]["engine"] == "mysql"
            assert 0 < report["killed"]["unlocked_s"] < 1
            assert report["killed"]["unlocked_by"] == "the guardian"
            assert not server.sessions()
            assert int(server.value("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")) == 2
            assert host.holds_nothing()
