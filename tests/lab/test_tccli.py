"""Tencent's own command line, pointed at the lab, sees what Quiesce makes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import DISK, add, populate

# tccli trusts certifi's authorities alone, and reads no variable that names others.
CERTIFI = """
def where():
    return {ca!r}
def contents():
    return open({ca!r}).read()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        yield lab


def tccli(lab: Lab, home: Path, *arguments: str) -> dict[str, Any]:
    trust = home / "trust" / "certifi"
    trust.mkdir(parents=True)
    (trust / "__init__.py").write_text(CERTIFI.format(ca=str(lab.ca_file)))
    command = [sys.executable, "-m", "tccli.main", *arguments, "--endpoint", lab.endpoint, "--region", REGION]
    env = {
        "HOME": str(home),
        "PYTHONPATH": str(trust.parent),
        "TENCENTCLOUD_SECRET_ID": SECRET_ID,
        "TENCENTCLOUD_SECRET_KEY": SECRET_KEY,
        "TENCENTCLOUD_TOKEN": TOKEN,
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def test_tccli_lists_the_snapshots_that_quiesce_made(lab: Lab, tmp_path: Path) -> None:
    made = [add(lab, number, number + 1.0) for number in range(3)]
    listed = tccli(lab, tmp_path, "cbs", "DescribeSnapshots")
    assert {one["SnapshotId"] for one in listed["SnapshotSet"]} == set(made)
    tags = {tag["Key"]: tag["Value"] for tag in listed["SnapshotSet"][0]["Tags"]}
    assert tags["quiesce:level"] == "application"
    assert listed["SnapshotSet"][0]["DiskId"] == DISK
