"""The follow-up on an estate in the lab's cloud: names, copies, shares, and lines that an alarm can match."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab.cloud.faults import Fault, error_after_success, lost_response
from quiesce_lab.cloud.model import Snapshot
from tests.lab.cloud_world import Lab, running_lab
from tests.lab.estates import BARE, POLICIES, add, followed_up, populate

AFAR = "ap-shanghai"
COPY = f"""
[policies.nightly.copy]
regions = ["{AFAR}"]
expire_after_days = 30
"""
SHARE = """
[policies.nightly.share]
accounts = ["100000000002", "100000000003"]
days = 7
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        lab.cloud.settings.copy_seconds = 0.0
        lab.cloud.settings.visible_after_s = 0.0
        yield lab


def afar(lab: Lab) -> list[Snapshot]:
    return list(lab.cloud.world.estate(region=AFAR).snapshots.values())


def outcomes(lines: list[dict[str, Any]], step: str) -> list[str]:
    return [line["outcome"] for line in lines if line["step"] == step]


def test_it_renames_prunes_and_writes_lines_that_an_alarm_can_match(lab: Lab, tmp_path: Path) -> None:
    for number in range(5):
        add(lab, number, number + 0.1)
    unnamed = add(lab, 8, 0.05, pending=True)
    stuck = add(lab, 9, 1.0, level="", pending=True, stuck_percent=35)
    counts, lines = followed_up(lab, tmp_path)
    assert counts["renamed"] == counts["stuck"] == 1
    assert (counts["deleted"], counts["covered"], counts["uncovered"]) == (2, 1, 1)
    assert not lab.cloud.world.estate().snapshots[unnamed].name.endswith("-pending")
    line = next(line for line in lines if line.get("snapshot_id") == stuck)
    assert {"step": "snapshot", "outcome": "stuck", "percent": 35}.items() <= line.items()
    assert [line["disk_id"] for line in lines if line["step"] == "coverage"] == [BARE]


def test_what_is_still_being_made_is_told_with_its_progress(lab: Lab, tmp_path: Path) -> None:
    add(lab, 1, 0.01, level="", pending=True, stuck_percent=61)
    counts, lines = followed_up(lab, tmp_path)
    assert (counts["creating"], counts["stuck"]) == (1, 0)
    assert next(line for line in lines if line["step"] == "snapshot")["percent"] == 61


def test_a_set_that_lost_a_member_is_told_and_protects_nothing_any_more(lab: Lab, tmp_path: Path) -> None:
    whole = add(lab, 1, 20.0)
    for number in range(2, 6):
        add(lab, number, 0.2 + number / 10, set_size=2)  # the other disk's snapshot is gone
    counts, lines = followed_up(lab, tmp_path)
    assert counts["vanished"] == 4
    assert outcomes(lines, "snapshot") == ["vanished"] * 4
    assert counts["late"] == 1, "its newest point that restores anything is 20 days old"
    assert whole in lab.cloud.world.estate().snapshots


def test_a_set_with_all_its_members_has_lost_none(lab: Lab, tmp_path: Path) -> None:
    add(lab, 1, 0.5, set_size=2)
    add(lab, 1, 0.5, set_size=2, disk=BARE)
    counts, _ = followed_up(lab, tmp_path)
    assert (counts["vanished"], counts["late"]) == (0, 0)


def test_complete_sets_of_the_level_asked_for_are_copied_once_tagged_and_made_to_expire(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICIES + COPY)
    good = add(lab, 1, 0.5)
    for number, fields in enumerate(({"level": "crash"}, {"pending": True, "level": ""}, {"stuck_percent": 5}), 2):
        add(lab, number, 0.4, **fields)  # type: ignore[arg-type]  # each a keyword of its own
    add(lab, 8, 40.0)  # older than copies are kept
    _, lines = followed_up(lab, tmp_path)
    assert outcomes(lines, "copy") == ["begun"]
    (copy,) = afar(lab)
    assert copy.name == lab.cloud.world.estate().snapshots[good].name
    _, lines = followed_up(lab, tmp_path)
    assert outcomes(lines, "copy") == ["settled"]
    days = ((copy.deadline_s or 0) - lab.cloud.world.clock.time()) / 86_400
    assert 29.9 < days < 30.1
    assert copy.tags["quiesce:level"] == "application"
    assert copy.tags["quiesce:copy-of"] == f"ap-guangzhou/{good}"
    assert "quiesce:seal" not in copy.tags
    _, lines = followed_up(lab, tmp_path)
    assert outcomes(lines, "copy") == []
    assert len(afar(lab)) == 1


def test_what_is_being_copied_is_not_deleted_by_the_same_follow_up(lab: Lab, tmp_path: Path) -> None:
    lab.cloud.settings.copy_seconds = 60.0
    (tmp_path / "policies.toml").write_text(POLICIES + COPY)
    ids = [add(lab, number, number + 0.1) for number in range(6)]
    counts, _ = followed_up(lab, tmp_path)
    assert counts["deleted"] == 0
    assert set(ids) <= set(lab.cloud.world.estate().snapshots)
    assert {call.error_code for call in lab.cloud.record.of("DeleteSnapshots")} == set()


@pytest.mark.parametrize("fault", [error_after_success(), lost_response()])
def test_a_copy_whose_answer_was_lost_is_not_made_twice(lab: Lab, tmp_path: Path, fault: Fault) -> None:
    (tmp_path / "policies.toml").write_text(POLICIES + COPY)
    add(lab, 1, 0.5)
    lab.cloud.faults.set("CopySnapshotCrossRegions", fault)
    followed_up(lab, tmp_path)
    followed_up(lab, tmp_path)
    assert len(afar(lab)) == 1


def test_a_copy_that_cannot_be_made_is_said_and_stops_nothing_else(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICIES + COPY)
    add(lab, 1, 0.5, stuck_percent=None)
    lab.cloud.world.estate().snapshots["snap-00000001"].encrypt = True
    for number in range(2, 8):
        add(lab, number, number)
    counts, lines = followed_up(lab, tmp_path)
    reason = next(line["reason"] for line in lines if line["outcome"] == "not_begun")
    assert "UnsupportedOperation.SnapshotNotSupportCopy" in reason
    assert outcomes(lines, "copy").count("begun") == 6
    assert counts["covered"] == 1


def test_a_region_that_takes_no_copies_is_named(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICIES + COPY.replace(AFAR, "ap-nowhere"))
    add(lab, 1, 0.5)
    _, lines = followed_up(lab, tmp_path)
    line = next(line for line in lines if line["step"] == "copy")
    assert (line["outcome"], line["region"]) == ("not_listed", "ap-nowhere")


def test_complete_sets_are_shared_and_taken_back_when_their_days_are_over(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICIES + SHARE)
    young = add(lab, 1, 0.5)
    old = add(lab, 2, 9.0, shared_with=["100000000002", "100000000009"])
    _, lines = followed_up(lab, tmp_path)
    snapshots = lab.cloud.world.estate().snapshots
    assert snapshots[young].shared_with == ["100000000002", "100000000003"]
    assert snapshots[old].shared_with == ["100000000009"], "what somebody else shared is theirs"
    assert sorted(outcomes(lines, "share")) == ["shared", "taken_back"]
    _, lines = followed_up(lab, tmp_path)
    assert outcomes(lines, "share") == []


def test_a_share_that_is_refused_is_said_and_stops_nothing_else(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICIES + SHARE)
    ids = [add(lab, number, number / 10) for number in (1, 2)]
    lab.cloud.world.estate().snapshots[ids[0]].encrypt = True
    _, lines = followed_up(lab, tmp_path)
    assert sorted(outcomes(lines, "share")) == ["shared", "trouble"]
