"""The filesystems are frozen unless one disk is cut and each of its writers is known to be locked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from quiesced.messages import Attachment, Witness
from quiesced.quiescers.base import HeldBy
from tests.daemon.fakes import FakeInstance, quiesce, release
from tests.daemon.keeper_on_fakes import refused_with, start
from tests.waiting import wait_until

ONE, BOTH = ("disk-0",), ("disk-0", "disk-1")


@pytest.mark.parametrize(
    ("disks", "only_applications_write", "held_by", "freeze"),
    [
        pytest.param(ONE, True, HeldBy.LOCK, "none", id="one disk, and its writers are locked"),
        pytest.param(BOTH, True, HeldBy.LOCK, "all", id="several disks"),
        pytest.param(ONE, False, HeldBy.LOCK, "all", id="others may write"),
        pytest.param(ONE, True, HeldBy.FREEZE, "all", id="an application that only the freeze stops"),
        pytest.param(ONE, True, HeldBy.WORD, "all", id="an application that only says so"),
    ],
)
def test_a_freeze_is_left_out_only_where_the_cut_is_atomic_without_it(
    tmp_path: Path,
    instance: FakeInstance,
    disks: tuple[str, ...],
    only_applications_write: bool,
    held_by: HeldBy,
    freeze: str,
) -> None:
    instance.second.held_by = held_by
    keeper = start(tmp_path, instance, only_applications_write=only_applications_write)
    try:
        held = keeper.quiesce(quiesce(disks=disks)).witness
        assert held is not None
        assert (held.freeze, bool(held.freeze_reason)) == (freeze, True)
        assert {seen.disk_id for seen in held.filesystems if seen.frozen} == (set(disks) if freeze == "all" else set())
        assert len(instance.kernel.frozen) == (len(disks) if freeze == "all" else 0)
        released = keeper.release(release())
        assert (released.state, released.held_without_gap, released.reason) == ("released", True, "")
    finally:
        keeper.close()
    assert instance.holds_nothing()


def test_without_a_freeze_what_is_dirty_is_written_out_under_the_locks(tmp_path: Path, instance: FakeInstance) -> None:
    keeper = start(tmp_path, instance, only_applications_write=True)
    try:
        keeper.quiesce(quiesce(disks=ONE))
    finally:
        keeper.close()
    steps = [step for step in instance.journal.entries if step.startswith(("lock", "sync", "freeze", "unlock"))]
    locked = steps.index("lock second")
    assert any(step.startswith("sync") for step in steps[locked : steps.index("unlock second")])
    assert not any(step.startswith("freeze") for step in steps)


@pytest.mark.parametrize(("trouble", "code"), [("fails", "not_durable"), ("waits", "acquire_timeout")])
def test_a_disk_that_cannot_be_written_out_under_the_locks_ends_the_hold_in_time(
    tmp_path: Path, instance: FakeInstance, trouble: str, code: str
) -> None:
    answers = threading.Event()

    def break_disk() -> None:
        instance.kernel.sync_fails = trouble == "fails"
        instance.kernel.sync_waits = answers if trouble == "waits" else None

    instance.second.on_quiesce = break_disk
    keeper = start(tmp_path, instance, only_applications_write=True)
    try:
        assert refused_with(keeper.quiesce(quiesce(disks=ONE, acquire_limit_s=0.3))) == code
        assert not any(application.locked for application in instance.applications)
    finally:
        answers.set()
        keeper.close()
    wait_until(instance.holds_nothing)


def test_no_application_is_no_lock(tmp_path: Path, instance: FakeInstance) -> None:
    """Nothing is known to stand still then, and the freeze is all there is."""
    keeper = start(tmp_path, instance, only_applications_write=True, applications=())
    try:
        held = keeper.quiesce(quiesce(disks=ONE)).witness
        assert isinstance(held, Witness)
        assert held.freeze == "all"
    finally:
        keeper.close()


def test_what_a_restore_needs_besides_comes_with_the_answer_to_the_release(tmp_path: Path, instance: FakeInstance) -> None:
    instance.first.keeps = {"backup_label": "START WAL LOCATION: 0/2000028"}
    keeper = start(tmp_path, instance)
    kept = (Attachment("first", "backup_label", "START WAL LOCATION: 0/2000028"),)
    try:
        keeper.quiesce(quiesce())
        assert keeper.release(release()).attachments == kept
    finally:
        keeper.close()
    again = start(tmp_path, instance)  # a daemon that was restarted answers the same
    try:
        assert again.release(release()).attachments == kept
    finally:
        again.close()
