"""Pruning and coverage of an estate in the lab's cloud, by the commands that a person types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quiesce.cli import main
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import BARE, DISK, add, items_of, populate


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        yield lab


def run(lab: Lab, tmp_path: Path, *arguments: str) -> Result:
    env = {
        "TENCENTCLOUD_SECRETID": SECRET_ID,
        "TENCENTCLOUD_SECRETKEY": SECRET_KEY,
        "TENCENTCLOUD_SESSIONTOKEN": TOKEN,
        "QUIESCE_REGION": REGION,
        "QUIESCE_CLOUD_ENDPOINT": lab.endpoint,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
    }
    return CliRunner().invoke(main, [*arguments, "--policies", str(tmp_path / "policies.toml")], env=env)


def left(lab: Lab) -> set[str]:
    return set(lab.cloud.world.estate().snapshots)


def test_prune_deletes_what_no_rule_keeps_one_id_a_call(lab: Lab, tmp_path: Path) -> None:
    ids = [add(lab, number, number + 0.1) for number in range(8)]
    result = run(lab, tmp_path, "prune", "--output", "json")
    assert result.exit_code == 0, result.output
    assert left(lab) == set(ids[:3])
    assert all(len(call.request["SnapshotIds"]) == 1 for call in lab.cloud.record.of("DeleteSnapshots"))
    fates = {row["snapshot_id"]: row["fate"] for row in items_of(result.output)}
    assert [fates[name] for name in ids] == ["keep"] * 3 + ["deleted"] * 5


def test_a_dry_run_deletes_nothing_and_gives_a_reason_for_every_keep_and_delete(lab: Lab, tmp_path: Path) -> None:
    ids = [add(lab, number, number + 0.1) for number in range(5)]
    result = run(lab, tmp_path, "prune", "--dry-run")
    assert result.exit_code == 0
    assert left(lab) == set(ids)
    assert lab.cloud.record.of("DeleteSnapshots") == ()
    lines = result.output.splitlines()
    assert [line.split()[6] for line in lines[1:]] == ["keep", "keep", "keep", "delete", "delete"]
    assert "the newest application-consistent point" in lines[1]
    assert "no rule keeps it" in lines[5]


@pytest.mark.parametrize("bound", [{"images": ["img-1"]}, {"shared_with": ["100"]}, {"copying_to": ["ap-shanghai"]}])
def test_what_others_depend_on_stays(lab: Lab, tmp_path: Path, bound: dict[str, Any]) -> None:
    for number in range(4):
        add(lab, number, number + 0.1)
    kept = add(lab, 9, 40, **bound)
    assert run(lab, tmp_path, "prune").exit_code == 0
    assert kept in left(lab)
    assert kept not in str(lab.cloud.record.of("DeleteSnapshots"))


def test_what_quiesce_did_not_make_is_never_touched(lab: Lab, tmp_path: Path) -> None:
    for number in range(4):
        add(lab, number, number + 0.1)
    by_hand = add(lab, 7, 400)
    lab.cloud.world.estate().snapshots[by_hand].name = "before the migration"
    assert run(lab, tmp_path, "prune").exit_code == 0
    assert by_hand in left(lab)


def test_the_last_application_consistent_point_outlives_weaker_ones(lab: Lab, tmp_path: Path) -> None:
    for number in range(6):
        add(lab, number, number + 0.1, level="crash")
    good = add(lab, 9, 90)
    assert run(lab, tmp_path, "prune").exit_code == 0
    assert good in left(lab)


def test_coverage_names_what_is_late_and_what_no_policy_covers_and_fails(lab: Lab, tmp_path: Path) -> None:
    add(lab, 1, 2.0)
    result = run(lab, tmp_path, "coverage", "--output", "json")
    assert result.exit_code == 1
    findings = {row["disk_id"]: row["finding"] for row in items_of(result.output)}
    assert findings == {DISK: "late", BARE: "uncovered"}


def test_coverage_is_well_when_every_objective_is_met(lab: Lab, tmp_path: Path) -> None:
    lab.cloud.world.remove_disk(BARE)
    add(lab, 1, 1.0)
    result = run(lab, tmp_path, "coverage")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1].split()[:3] == ["covered", "ins-00lycyy6", DISK]


@pytest.mark.parametrize(("level", "finding"), [("crash", "late"), ("application", "covered")])
def test_a_weaker_point_does_not_meet_the_objective(lab: Lab, tmp_path: Path, level: str, finding: str) -> None:
    add(lab, 1, 0.5, level=level)
    rows = items_of(run(lab, tmp_path, "coverage", "--output", "json").output)
    assert next(row["finding"] for row in rows if row["disk_id"] == DISK) == finding


def test_a_file_or_a_key_that_cannot_be_used_is_said_and_nothing_is_asked(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text("[policies]\n")
    result = run(lab, tmp_path, "prune")
    assert (result.exit_code, lab.cloud.record.calls) == (4, ())


def test_ages_are_told_by_the_hour_in_which_the_cloud_writes(lab: Lab, tmp_path: Path) -> None:
    add(lab, 1, 0.25)
    row = next(r for r in items_of(run(lab, tmp_path, "coverage", "--output", "json").output) if r["disk_id"] == DISK)
    assert abs(row["age_hours"] - 6.0) < 0.1
    made = datetime.fromisoformat(row["application"])
    assert abs(datetime.now(timezone.utc) - made - timedelta(hours=6)) < timedelta(minutes=5)
