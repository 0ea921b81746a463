"""A person's own machine runs, plans and looks, with the function's variables, on real disks with a real MariaDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from quiesce.cli import main
from quiesce_lab import deployment
from quiesce_lab.stage import Stage
from tests.daemon.loopdisks import needs_root
from tests.lab.estates import items_of

pytestmark = [pytest.mark.lab, needs_root]


@pytest.fixture
def here(lab: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.chdir(lab.function.code_dir)
    lab.wait_until_complete()
    lab.site.cloud.record.clear()
    return lab


def run(here: Stage, *arguments: str) -> Result:
    env = {
        **deployment.variables(here.site, here.shared),
        "TENCENTCLOUD_SECRET_ID": here.site.secret_id,
        "TENCENTCLOUD_SECRET_KEY": here.site.secret_key,
        "TENCENTCLOUD_REGION": here.site.region,
        "QUIESCE_API_TIMEOUT_S": "2",
    }
    return CliRunner().invoke(main, list(arguments), env=env)


def test_a_run_from_here_is_the_functions_own_and_tells_what_happens(here: Stage) -> None:
    result = run(here, "run", "nightly", "--run-key", "pipeline-7", "--output", "json")
    assert result.exit_code == 0, result.output
    (got,) = items_of(result.stdout)
    assert (got["status"], got["targets"][0]["level"]) == ("reached", "application")
    assert "quiesce  held" in result.stderr
    calls = len(here.site.cloud.record.of("CreateSnapshot"))
    (again,) = items_of(run(here, "run", "nightly", "--run-key", "pipeline-7", "--output", "json").stdout)
    assert again["targets"][0]["snapshots"] == got["targets"][0]["snapshots"]
    assert len(here.site.cloud.record.of("CreateSnapshot")) == calls


def test_a_plan_asks_the_hook_and_holds_nobody(here: Stage) -> None:
    (row,) = items_of(run(here, "plan", "nightly", "--output", "json").stdout)
    assert (row["ready"], row["obstacles"]) == ("yes", "")
    assert "orders (mysql backup_lock)" in row["applications"]
    assert here.site.cloud.record.of("CreateSnapshot") == ()


def test_a_hook_that_does_not_answer_is_named_by_plan_and_doctor(here: Stage) -> None:
    here.daemon.stop()
    planned, examined = run(here, "plan", "nightly"), run(here, "doctor", "--output", "json")
    assert planned.exit_code == examined.exit_code == 1
    assert "gave no answer" in planned.stdout
    assert [row["state"] for row in items_of(examined.stdout)][-1] == "failed"


def test_doctor_says_that_the_hook_would_hold(here: Stage) -> None:
    rows = items_of(run(here, "doctor", "--output", "json").stdout)
    assert "would hold orders (mysql backup_lock)" in rows[-1]["what"]
    assert {row["state"] for row in rows} <= {"ok", "warning"}


def test_the_certificate_of_a_run_says_what_a_restore_needs(here: Stage, tmp_path: Path) -> None:
    result = run(here, "run", "nightly", "--output", "json")
    report = tmp_path / "report.json"
    report.write_text(json.dumps(items_of(result.stdout)[0]))
    run_id = items_of(result.stdout)[0]["run_id"]
    here.wait_until_complete()
    text = run(here, "restore", "plan", run_id, "--certificate", str(report)).stdout
    gtid = items_of(result.stdout)[0]["targets"][0]["certificate"]["positions"]["orders"]["gtid"]
    assert f"gtid {gtid}" in text
    assert "mariadb-check" in text
