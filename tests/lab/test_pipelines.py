"""The pipelines of deploy/pipelines, each one's shell executed against the function's URL in the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from quiesce_lab.function_url import serving
from quiesce_lab.stage import Stage, stage
from tests.daemon.loopdisks import needs_root

pytestmark = [pytest.mark.lab, needs_root]
PIPELINES = Path(__file__).parents[2] / "deploy" / "pipelines"


@dataclass(frozen=True)
class Gate:
    """A deployed function with its URL, and the environment that a pipeline has."""

    here: Stage
    env: dict[str, str]

    def run(self, script: str, where: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a step as a runner does: bash that stops at the first error."""
        env = {**self.env, **more}
        command = ["bash", "-eo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def gate(state_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with stage(state_dir.with_name(f"{state_dir.name}-pipelines"), address="127.77.3.4") as here:
        here.host.load.start(200.0)
        here.host.load.wait_until_acked(100)
        chain, key = here.site.authority.issue("127.0.0.1")
        with serving(here.function.invoke, chain, key) as url:
            yield Gate(
                here,
                {
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "HOME": str(tmp_path_factory.mktemp("home")),
                    "REQUESTS_CA_BUNDLE": str(here.site.authority.ca_pem),
                    "QUIESCE_URL": url,
                    "QUIESCE_POLICY": "nightly",
                    "QUIESCE_HTTP_KEY": here.shared.http_secret,
                },
            )


def script_of(name: str) -> str:
    """The shell of the snapshot's step, as the file has it."""
    document: Any = yaml.safe_load((PIPELINES / name).read_text())
    if name == "github-actions.yml":
        return str(next(step["run"] for step in document["jobs"]["deploy"]["steps"] if step["name"] == "Snapshot"))
    if name == "gitlab-ci.yml":
        return "\n".join(document["snapshot"]["script"])
    return str(next(stage["script"] for stage in document["main"]["tag_push"][0]["stages"] if stage["name"] == "snapshot"))


NUMBERS = {"github-actions.yml": "GITHUB_RUN_ID", "gitlab-ci.yml": "CI_PIPELINE_ID", "cnb.yml": "CNB_BUILD_ID"}


def test_there_is_a_test_for_every_pipeline() -> None:
    assert {path.name for path in PIPELINES.glob("*.yml")} == set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_pipeline_gets_its_snapshot_and_the_way_back_and_run_again_takes_no_second(
    gate: Gate, tmp_path: Path, name: str
) -> None:
    gate.here.wait_until_complete()
    number = {NUMBERS[name]: name}
    first = gate.run(script_of(name), tmp_path, **number)
    assert first.returncode == 0, first.stderr
    told = json.loads((tmp_path / "snapshot.json").read_text())
    (target,) = told["targets"]
    assert (told["status"], target["level"]) == ("reached", "application")
    assert target["rollback"] == [{"DiskId": gate.here.host.disk_ids[0], "SnapshotId": target["rollback"][0]["SnapshotId"]}]
    made = set(gate.here.site.cloud.world.estate().snapshots)
    assert target["rollback"][0]["SnapshotId"] in made
    again = gate.run(script_of(name), tmp_path, **number)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "snapshot.json").read_text())["targets"][0]["rollback"] == target["rollback"]
    assert set(gate.here.site.cloud.world.estate().snapshots) == made


@pytest.mark.parametrize("name", NUMBERS)
def test_a_gate_that_gets_less_than_it_asked_for_stops_the_pipeline(gate: Gate, tmp_path: Path, name: str) -> None:
    gate.here.wait_until_complete()
    gate.here.daemon.stop()
    try:
        stopped = gate.run(script_of(name), tmp_path, **{NUMBERS[name]: f"{name}-without-a-hook"})
    finally:
        gate.here.daemon.start()
    assert stopped.returncode == 3
    assert json.loads((tmp_path / "snapshot.json").read_text())["status"] == "failed"


WRONG = [{"QUIESCE_HTTP_KEY": "not this one, and long enough"}, {"QUIESCE_URL": "https://127.0.0.1:1"}]


@pytest.mark.parametrize("changes", WRONG, ids=["a wrong key", "no answer"])
def test_a_wrong_key_or_a_function_that_does_not_answer_stops_the_pipeline(
    gate: Gate, tmp_path: Path, changes: dict[str, str]
) -> None:
    assert gate.run(script_of("gitlab-ci.yml"), tmp_path, CI_PIPELINE_ID="7", **changes).returncode == 5


def test_the_last_step_prints_the_parameters_of_applysnapshot(gate: Gate, tmp_path: Path) -> None:
    gate.here.wait_until_complete()
    steps = yaml.safe_load((PIPELINES / "github-actions.yml").read_text())["jobs"]["deploy"]["steps"]
    gate.run(script_of("github-actions.yml"), tmp_path, GITHUB_RUN_ID="for-the-way-back")
    shown = gate.run(next(step["run"] for step in steps if step["name"] == "How to go back"), tmp_path)
    assert set(json.loads(shown.stdout.splitlines()[0])[0]) == {"DiskId", "SnapshotId"}
