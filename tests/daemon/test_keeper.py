"""The keeper on an instance that exists in memory: the order of a hold, what fails on the way to it, limits and checks."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quiesced import endings
from quiesced.errors import Refused
from quiesced.keeper import Keeper
from quiesced.messages import Refusal
from tests.daemon.fakes import FakeInstance, check, quiesce, release
from tests.daemon.keeper_on_fakes import refused_with, start
from tests.waiting import wait_until


def test_a_hold_locks_then_freezes_under_a_guardian_and_lets_go_in_reverse(keeper: Keeper, instance: FakeInstance) -> None:
    assert keeper.quiesce(quiesce()).state == "held"
    assert keeper.release(release()).held_without_gap
    happened = [entry for entry in instance.journal.entries if not entry.startswith(("sync", "write back"))]
    in_any_order = [sorted(happened[:3]), sorted(happened[3:5]), sorted(happened[5:7]), happened[7:]]
    assert in_any_order == [
        ["armed", "lock first", "lock second"],
        ["freeze disk-0", "freeze disk-1"],
        ["thaw disk-0", "thaw disk-1"],
        ["unlock second", "unlock first", "disarmed"],
    ]
    assert happened[0] == "armed"


def test_those_who_waited_have_the_machine_to_themselves_before_anything_is_tidied_up(
    keeper: Keeper, instance: FakeInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "sleep", lambda _: instance.journal.note("writers"))
    keeper.quiesce(quiesce())
    keeper.release(release())
    assert instance.journal.entries[-3:] == ("unlock first", "writers", "disarmed")


def test_nobody_is_waited_for_where_nothing_was_held(
    keeper: Keeper, instance: FakeInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "sleep", lambda _: instance.journal.note("writers"))
    instance.first.fails_at.update(prepare=Refused("blocked", "a long query"))
    keeper.quiesce(quiesce())
    assert "writers" not in instance.journal.entries


def test_what_is_dirty_is_written_out_gently_and_then_twice_before_the_first_lock(
    keeper: Keeper, instance: FakeInstance
) -> None:
    keeper.quiesce(quiesce())
    before = instance.journal.entries[: instance.journal.entries.index("lock first")]
    assert before.index("write back disk-1") < before.index("sync disk-0")
    assert before.count("sync disk-0") == before.count("sync disk-1") == 2


def test_the_guardian_has_everything_and_the_deadline_of_the_hold(
    keeper: Keeper, instance: FakeInstance, tmp_path: Path
) -> None:
    instance.first.connection = 77
    answer = keeper.quiesce(quiesce(hold_limit_s=10.0))
    assert len(instance.guardian.guarded.mounts) == 2
    assert instance.guardian.guarded.connections == (77,)
    assert instance.guardian.deadline_s - keeper._clock() == pytest.approx(answer.hold_remaining_s, abs=0.1)


def unplug(instance: FakeInstance) -> None:
    instance.disks.refusals = (Refusal("unknown_disk", "disk-1 is not attached"),)


FAILURES = [
    pytest.param(unplug, "unknown_disk", id="a disk is not there"),
    pytest.param(
        lambda i: i.first.fails_at.update(prepare=Refused("blocked", "a long query")), "blocked", id="a guard objects"
    ),
    pytest.param(
        lambda i: i.second.fails_at.update(prepare=Refused("blocked", "DDL")), "blocked", id="the second guard objects"
    ),
    pytest.param(lambda i: setattr(i.kernel, "sync_fails", True), "internal", id="the pre-flush fails"),
    pytest.param(lambda i: setattr(i, "guardian_fails", True), "guardian_failed", id="the guardian does not arm"),
    pytest.param(
        lambda i: i.first.fails_at.update(quiesce=Refused("acquire_timeout", "no lock")),
        "acquire_timeout",
        id="the first lock is not granted",
    ),
    pytest.param(
        lambda i: i.second.fails_at.update(quiesce=Refused("not_durable", "lsn")), "not_durable", id="the second is not"
    ),
    pytest.param(lambda i: i.second.fails_at.update(quiesce=RuntimeError("a bug")), "internal", id="a quiescer has a bug"),
    pytest.param(lambda i: i.kernel.refuses.update({"disk-1": errno.EIO}), "freeze_failed", id="a freeze fails"),
    pytest.param(
        lambda i: i.first.witness_says.update(lock_shown=False), "application_unreachable", id="the lock is not shown"
    ),
    pytest.param(
        lambda i: i.first.witness_says.update(session_alive=False), "application_unreachable", id="the session is dead"
    ),
    pytest.param(lambda i: i.second.witness_says.update(durable=False), "not_durable", id="the log is not on disk"),
    pytest.param(lambda i: i.second.fails_at.update(witness=RuntimeError("a bug")), "internal", id="a witness fails"),
    pytest.param(
        lambda i: i.second.fails_at.update(quiesce=Refused("blocked", "x"), release=RuntimeError("a bug")),
        "blocked",
        id="and the unlock fails as well",
    ),
]


@pytest.mark.parametrize(("break_it", "code"), FAILURES)
def test_whatever_fails_on_the_way_all_is_let_go_and_the_next_lease_can_hold(
    keeper: Keeper, instance: FakeInstance, break_it: Callable[[FakeInstance], object], code: str
) -> None:
    break_it(instance)
    assert refused_with(keeper.quiesce(quiesce())) == code
    assert instance.holds_nothing()
    assert keeper.status().state == "idle"
    assert keeper.release(release()).state == "never_held"
    instance.first.fails_at = instance.second.fails_at = {}
    instance.first.witness_says = instance.second.witness_says = {}
    instance.disks.refusals, instance.kernel.refuses = (), {}
    instance.kernel.sync_fails = instance.guardian_fails = False
    assert keeper.quiesce(quiesce("lease-2")).state == "held"


def test_a_filesystem_that_somebody_else_froze_is_refused_and_left_frozen(keeper: Keeper, instance: FakeInstance) -> None:
    instance.kernel.by_hand("disk-1", frozen=True)
    assert refused_with(keeper.quiesce(quiesce())) == "freeze_failed"
    assert instance.kernel.frozen == {"disk-1"}
    instance.kernel.by_hand("disk-1", frozen=False)


def test_a_freeze_that_is_stuck_in_the_kernel_strands_nobody_else(keeper: Keeper, instance: FakeInstance) -> None:
    stuck = instance.kernel.stuck["disk-1"] = threading.Event()
    answer = keeper.quiesce(quiesce(acquire_limit_s=0.05))
    assert refused_with(answer) == "acquire_timeout"
    assert not instance.kernel.frozen
    assert not instance.first.locked and not instance.second.locked
    assert instance.guardian.armed, "the guardian stays until the kernel is done"
    assert refused_with(keeper.quiesce(quiesce("lease-2"))) == "busy"
    stuck.set()
    wait_until(instance.holds_nothing)
    wait_until(lambda: keeper.status().state == "idle")
    assert instance.journal.entries.index("freeze disk-1") < instance.journal.entries.index("thaw disk-1")


def test_a_lock_that_comes_too_late_is_given_back(keeper: Keeper, instance: FakeInstance) -> None:
    instance.second.waits_at_quiesce = threading.Event()
    assert refused_with(keeper.quiesce(quiesce(acquire_limit_s=0.03))) == "acquire_timeout"
    assert instance.holds_nothing()


def test_a_witness_that_takes_too_long_is_too_late(keeper: Keeper, instance: FakeInstance) -> None:
    instance.second.witness_takes_s = 0.1
    assert refused_with(keeper.quiesce(quiesce(acquire_limit_s=0.05))) == "acquire_timeout"
    assert instance.holds_nothing()


def test_a_quiesce_that_comes_twice_while_it_is_acquired_holds_once(keeper: Keeper, instance: FakeInstance) -> None:
    instance.first.waits_at_quiesce = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(keeper.quiesce, quiesce()) for _ in range(2)]
        wait_until(lambda: instance.journal.has("lock first"))
        instance.first.waits_at_quiesce.set()
        answers = [answer.result() for answer in asked]
    assert [answer.state for answer in answers] == ["held", "held"]
    assert answers[0].witness == answers[1].witness
    assert instance.journal.entries.count("lock first") == 1


def test_limits_that_the_owner_does_not_allow_are_refused_before_anything_is_touched(
    keeper: Keeper, instance: FakeInstance
) -> None:
    assert refused_with(keeper.quiesce(quiesce(hold_limit_s=61.0))) == "unsafe_limits"
    assert instance.journal.entries == ()


def test_status_tells_who_holds_and_for_how_long(keeper: Keeper) -> None:
    assert keeper.status().state == "idle"
    keeper.quiesce(quiesce())
    status = keeper.status()
    assert (status.state, status.lease_id, status.run_id) == ("held", "lease-1", "run-1")
    assert 9 < status.hold_remaining_s <= 10


def test_check_names_everything_that_speaks_against_a_hold_and_changes_nothing(
    keeper: Keeper, instance: FakeInstance, tmp_path: Path
) -> None:
    instance.first.refusals = (Refusal("blocked", "a long query"),)
    instance.first.paths = (("datadir", str(tmp_path / "disk-0/mysql")), ("binlog", "/elsewhere"))
    instance.second.fails_at["check"] = Refused("application_unreachable", "no answer")
    unplug(instance)
    answer = keeper.check(check(hold_limit_s=61.0))
    codes = [refusal.code for refusal in answer.refusals]
    assert codes == ["unsafe_limits", "unknown_disk", "blocked", "application_unreachable"]
    assert not answer.ready
    assert [path.disk_id for path in answer.applications[0].paths] == ["disk-0", None]
    assert [filesystem.disk_id for filesystem in answer.filesystems] == ["disk-0", "disk-1"]
    assert instance.journal.entries == ()


def test_check_says_that_another_lease_holds(keeper: Keeper) -> None:
    assert keeper.check(check()).ready
    keeper.quiesce(quiesce())
    answer = keeper.check(check())
    assert [refusal.code for refusal in answer.refusals] == ["busy"]
    assert answer.holds_of_run == 1


@pytest.mark.parametrize(
    ("before", "is_changed"), [pytest.param("0\n", True, id="off"), pytest.param("1\n", False, id="on already")]
)
def test_the_kernel_is_asked_to_hurry_only_while_freezing(
    tmp_path: Path, instance: FakeInstance, before: str, is_changed: bool
) -> None:
    knob = tmp_path / "rcu_expedited"
    knob.write_text(before)
    keeper = start(tmp_path, instance, expedite_path=knob)
    stuck = instance.kernel.stuck["disk-1"] = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(keeper.quiesce, quiesce())
        wait_until(lambda: instance.journal.has("freeze disk-0"))
        assert knob.read_text() == "1\n"
        stuck.set()
        assert asked.result().state == "held"
    assert knob.read_text() == before
    assert (instance.guardian.guarded.knob >= 0) == is_changed
    keeper.close()


def test_a_knob_left_on_by_a_daemon_that_died_is_put_back(tmp_path: Path, instance: FakeInstance) -> None:
    knob = tmp_path / "rcu_expedited"
    knob.write_text("0\n")
    start(tmp_path, instance, expedite_path=knob).quiesce(quiesce())
    instance.guardian.armed = False
    knob.write_text("1\n")  # it died between the two
    start(tmp_path, instance, expedite_path=knob).close()
    assert knob.read_text().strip() == "0"
