"""The CAM policy has what the function calls, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from scripts import cam_policy

SRC = Path(__file__).parents[2] / "src"


def granted() -> list[str]:
    statements = json.loads(cam_policy.POLICY.read_text())["statement"]
    return [action for statement in statements for action in statement["action"]]


def test_every_call_of_the_code_is_granted_and_every_grant_is_for_a_call() -> None:
    assert cam_policy.calls_of(SRC) == set(cam_policy.GRANTS)
    assert sorted(granted()) == sorted(name for names in cam_policy.GRANTS.values() for name in names)


def test_the_file_is_the_one_that_is_generated() -> None:
    assert cam_policy.POLICY.read_text() == cam_policy.text(), "run python -m scripts.cam_policy"


def test_nothing_is_granted_that_restores_stops_or_grants() -> None:
    assert not [name for name in granted() if "*" in name or any(w in name for w in ("Apply", "Stop", "Terminate", "cam:"))]
