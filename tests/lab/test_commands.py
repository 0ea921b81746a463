"""The command on an estate in the lab's cloud, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scripts import schemas

from quiesce.adapters.cls import RunRecords
from quiesce.adapters.tencent import Cloud
from quiesce.cli import PLACES, main
from quiesce_lab.cloud.faults import refuse
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import BARE, DISK, INSTANCE, SCHEMAS, add, items_of, populate, settings_for


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        yield lab


def run(lab: Lab, *arguments: str, **changes: str | None) -> Result:
    env: dict[str, str | None] = {
        "TENCENTCLOUD_SECRET_ID": SECRET_ID,
        "TENCENTCLOUD_SECRET_KEY": SECRET_KEY,
        "TENCENTCLOUD_TOKEN": TOKEN,
        "TENCENTCLOUD_REGION": REGION,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
        "QUIESCE_POLICIES": str(lab.ca_file.parent / "policies.toml"),
    }
    return CliRunner().invoke(main, [*arguments, "--endpoint", lab.endpoint], env={**env, **changes})


def items(result: Result) -> list[dict[str, Any]]:
    return items_of(result.stdout)


def test_list_shows_sets_newest_first_with_what_they_are(lab: Lab) -> None:
    add(lab, 1, 2.0)
    add(lab, 2, 1.0, set_size=2)
    add(lab, 2, 1.0, set_size=2, disk=BARE)
    add(lab, 3, 0.01, level="", pending=True, stuck_percent=40)
    rows = items(run(lab, "list", "--output", "json"))
    assert [(row["level"], row["state"], row["disks"]) for row in rows] == [
        ("unknown", "creating", 1),
        ("application", "complete", 2),
        ("application", "complete", 1),
    ]
    assert [row["percent"] for row in rows] == [40, 100, 100]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--last", "1"), ["0000000003"]),
        (("--level", "application"), ["0000000001"]),
        (("--policy", "another"), []),
        (("--instance", INSTANCE), ["0000000003", "0000000001"]),
    ],
)
def test_list_can_be_narrowed(lab: Lab, options: tuple[str, ...], left: list[str]) -> None:
    add(lab, 1, 2.0)
    add(lab, 3, 1.0, level="crash")
    assert [row["run_id"] for row in items(run(lab, "list", "--output", "json", *options))] == left


def test_the_table_has_the_same_rows_and_can_be_cut(lab: Lab) -> None:
    add(lab, 1, 2.0)
    lines = run(lab, "list").stdout.splitlines()
    assert lines[0].split()[:4] == ["run_id", "policy", "instance_id", "created_at"]
    assert lines[1].split()[:3] == ["0000000001", "nightly", INSTANCE]


@pytest.mark.parametrize(
    ("name", "run_id", "status"),
    [
        ("latest", "0000000002", 0),
        ("last-failed", "0000000003", 1),
        ("0000000001", "0000000001", 0),
        ("snap-00000001", "0000000001", 0),
    ],
)
def test_show_takes_a_run_a_snapshot_latest_and_last_failed(lab: Lab, name: str, run_id: str, status: int) -> None:
    for number, level in ((1, "application"), (2, "application"), (3, "none")):
        add(lab, number, 4.0 - number, level=level)
    result = run(lab, "show", name, "--output", "json")
    assert result.exit_code == status
    (row,) = items(result)
    assert row["run_id"] == run_id
    assert row["snapshots"][0]["disk_id"] == DISK


def test_show_says_that_a_set_which_lost_a_member_restores_nothing(lab: Lab) -> None:
    add(lab, 1, 2.0, set_size=2)
    result = run(lab, "show", "0000000001")
    assert result.exit_code == 1
    assert "broken" in result.stdout


def test_what_is_not_there_is_said_with_where_to_look(lab: Lab) -> None:
    result = run(lab, "show", "0000000009")
    assert result.exit_code == 5
    assert "quiesce list" in result.stderr


def test_wait_tells_the_percent_and_ends_when_all_is_complete(lab: Lab) -> None:
    add(lab, 1, 2.0)
    result = run(lab, "wait", "latest")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "100 %" in result.stderr


def test_wait_gives_up_in_time(lab: Lab) -> None:
    add(lab, 1, 0.01, stuck_percent=70)
    result = run(lab, "wait", "0000000001", "--limit", "0.1")
    assert result.exit_code == 6
    assert "70 %" in result.stderr


def test_plan_names_disks_names_sizes_and_what_holds_took_and_changes_nothing(lab: Lab) -> None:
    for number, held in enumerate((300, 320, 900)):
        snapshot_id = add(lab, number, number + 1.0)
        lab.cloud.world.estate().snapshots[snapshot_id].tags["quiesce:held-ms"] = str(held)
    result = run(lab, "plan", "nightly", "--no-ask", "--price", "0.5", "--output", "json")
    assert result.exit_code == 0, result.output
    (row,) = items(result)
    assert (row["instance_id"], row["disks"], row["size_gib"], row["cost"]) == (INSTANCE, DISK, 20, 10.0)
    assert (row["hold_ms"], row["longest_hold_ms"], row["sets"]) == (320, 900, 3)
    assert row["names"][0].startswith("quiesce-nightly-")
    assert {call.action[:8] for call in lab.cloud.record.calls} == {"Describe"}


def test_plan_says_what_stands_in_the_way(lab: Lab) -> None:
    lab.cloud.world.estate().instances[INSTANCE].state = "STOPPED"
    result = run(lab, "plan", "nightly", "--no-ask")
    assert result.exit_code == 1
    assert "is STOPPED" in result.stdout


def test_a_policy_that_there_is_not_is_told_from_those_that_there_are(lab: Lab) -> None:
    result = run(lab, "plan", "weekly")
    assert result.exit_code == 5
    assert "there are: nightly" in result.stderr


def test_run_says_which_variables_it_lacks_and_calls_nothing(lab: Lab) -> None:
    result = run(lab, "run", "nightly")
    assert result.exit_code == 4
    assert "QUIESCE_HOOK_KEY" in result.stderr
    assert lab.cloud.record.calls == ()


def test_doctor_says_which_key_won_and_that_all_is_well(lab: Lab) -> None:
    result = run(lab, "doctor", "--output", "json")
    found = {row["question"]: row for row in items(result)}
    assert result.exit_code == 0, result.output
    assert "TENCENTCLOUD_SECRET_ID" in found["key"]["what"]
    assert found["clock"]["state"] in ("ok", "warning")
    assert found["right to DescribeSnapshots"]["state"] == "ok"
    assert found["variables"]["state"] == "warning"
    assert found[f"nightly: {INSTANCE}"]["state"] == "skipped"
    assert SECRET_KEY not in result.output
    assert TOKEN not in result.output


def test_doctor_tells_a_right_that_is_missing_from_a_thing_that_is(lab: Lab) -> None:
    lab.cloud.faults.set("ModifyResourceTags", refuse("UnauthorizedOperation"))
    before = set(lab.cloud.world.estate().snapshots)
    result = run(lab, "doctor", "--try-writes", "--output", "json")
    found = {row["question"]: row for row in items(result)}
    assert result.exit_code == 1
    assert found["right to CreateSnapshot"]["state"] == "ok"
    assert found["right to DeleteSnapshots"]["state"] == "ok"
    assert found["right to ModifyResourceTags"]["state"] == "failed"
    assert "cam-policy.json" in found["right to ModifyResourceTags"]["todo"]
    assert set(lab.cloud.world.estate().snapshots) == before


def test_doctor_needs_a_region(lab: Lab) -> None:
    result = run(lab, "doctor", "--output", "json", TENCENTCLOUD_REGION=None)
    assert result.exit_code == 1
    assert items(result)[-1]["todo"].startswith("give --region")


@pytest.mark.parametrize(("way", "action"), [("beside", "tccli cbs CreateDisks"), ("rollback", "tccli cbs ApplySnapshot")])
def test_a_restore_is_written_down_and_not_done(lab: Lab, way: str, action: str) -> None:
    snapshot_id = add(lab, 1, 2.0)
    result = run(lab, "restore", "plan", "latest", "--way", way)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if action in line)
    assert f"--SnapshotId {snapshot_id}" in line
    assert f"--region {REGION}" in line
    (row,) = items(run(lab, "restore", "plan", "latest", "--way", way, "--output", "json"))
    assert any(action in step["command"] for step in row["steps"])
    assert {call.action[:8] for call in lab.cloud.record.calls} == {"Describe"}


def test_a_restore_of_a_weaker_set_says_so_first(lab: Lab) -> None:
    add(lab, 1, 2.0, level="crash")
    assert run(lab, "restore", "plan", "latest").stdout.splitlines()[1].startswith("1. this set is crash, not application")


def test_policy_check_shows_what_each_policy_says(tmp_path: Path, lab: Lab) -> None:
    result = CliRunner().invoke(main, ["policy", "check", str(tmp_path / "policies.toml"), "--output", "json"])
    assert result.exit_code == 0
    assert items(result)[0]["retention"] == "last=2 daily=3"


def test_policy_check_names_every_problem(tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text("[policies.nightly]\nlevel = 'best'\nholdlimit = 3\n")
    result = CliRunner().invoke(main, ["policy", "check", str(tmp_path / "policies.toml")])
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 3
    listed = CliRunner().invoke(main, ["policy", "check", str(tmp_path / "policies.toml"), "--output", "json"])
    assert [item["problem"] for item in items(listed)] == result.stderr.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_every_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_QUIESCE_COMPLETE" in result.stdout


@pytest.mark.parametrize("name", sorted(PLACES))
def test_every_command_is_there_and_says_what_it_does(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert PLACES[name][1] in CliRunner().invoke(main, ["--help"], terminal_width=200).stdout


def test_no_key_at_all_is_said_with_what_to_do(lab: Lab) -> None:
    result = run(lab, "list", TENCENTCLOUD_SECRET_ID=None)
    assert result.exit_code == 4
    assert "tccli configure" in result.stderr


def test_the_published_schemas_are_those_of_the_code() -> None:
    assert {path.name: path.read_text() for path in SCHEMAS.iterdir()} == schemas.texts()


def test_logs_shows_the_steps_of_one_run_from_a_file(lab: Lab, tmp_path: Path) -> None:
    lines = [
        {"run_id": run_id, "step": step, "outcome": "held", "instance_id": INSTANCE}
        for run_id in ("0123456789", "aaaaaaaaaa")
        for step in ("check", "quiesce")
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "not JSON\n")
    result = run(lab, "logs", "0123456789", "--from", str(tmp_path / "log.jsonl"))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"check  held  {INSTANCE}", f"quiesce  held  {INSTANCE}"]


def test_logs_reads_the_topic_of_the_function(lab: Lab) -> None:
    lab.cloud.world.add_topic("topic-log", "log")
    lab.cloud.settings.searchable_after_s = 0.0
    cloud = Cloud(settings_for(lab, lab.ca_file.parent).cloud)
    now_ms = round(lab.cloud.world.clock.time() * 1000)
    RunRecords(cloud, "topic-log").write([{"run_id": "0123456789", "step": "release", "outcome": "released"}], now_ms - 5)
    RunRecords(cloud, "topic-log").write([{"run_id": "aaaaaaaaaa", "step": "release", "outcome": "expired"}], now_ms - 5)
    result = run(lab, "logs", "0123456789", "--log-topic", "topic-log", "--output", "json")
    assert [json.loads(line)["outcome"] for line in result.stdout.splitlines()] == ["released"]


@pytest.mark.parametrize(("run_id", "status"), [("0123456789", 1), ("'; DROP", 5)])
def test_logs_of_a_run_that_there_is_not(lab: Lab, tmp_path: Path, run_id: str, status: int) -> None:
    (tmp_path / "log.jsonl").write_text("")
    assert run(lab, "logs", run_id, "--from", str(tmp_path / "log.jsonl")).exit_code == status
