"""What importing the adapters costs a cold start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
ADAPTERS = sorted(path.stem for path in (SRC / "quiesce" / "adapters").glob("*.py") if path.stem != "__init__")
EVERYTHING = ",".join(f"quiesce.adapters.{name}" for name in ADAPTERS)
LEAN_MS = 400.0
"""Twice what it takes on a slow machine; the SDK's cbs and cvm models alone would add more than that again."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def test_the_adapters_load_nothing_heavy() -> None:
    loaded = set(run("-c", f"import sys,{EVERYTHING}; print(*sys.modules)").stdout.split())

    assert {f"quiesce.adapters.{name}" for name in ADAPTERS} <= loaded
    heavy = {
        name
        for name in loaded
        if name.startswith(("tencentcloud.cls", "tencentcloud.cbs", "tencentcloud.cvm", "tencentcloud.tag", "pydantic"))
    }
    assert heavy == set()


@pytest.mark.parametrize("name", ["settings", "request", "policies", "naming", "plan", "budget"])
def test_what_decides_needs_neither_http_nor_the_sdk(name: str) -> None:
    loaded = run("-c", f"import sys,quiesce.{name}; print(*sys.modules)").stdout.split()

    assert {"requests", "urllib3", "stamina", "tencentcloud"} & set(loaded) == set()


def test_importing_the_adapters_stays_lean() -> None:
    run("-c", f"import {EVERYTHING}")  # compiles, which SCF's package brings done
    best_ms = min(_own_time_ms(run("-X", "importtime", "-c", f"import {EVERYTHING}").stderr) for _ in range(3))

    assert best_ms < LEAN_MS


def _own_time_ms(importtime: str) -> float:
    rows = [line.removeprefix("import time:").split("|") for line in importtime.splitlines() if "|" in line]
    return sum(float(row[0]) for row in rows if row[0].strip().isdigit()) / 1000
