"""What importing the adapters costs a cold start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
ADAPTERS = sorted(path.stem for path in (SRC / "quiesce" / "adapters").glob("*.py") if path.stem != "__init__")
EVERYTHING = ",".join(f"quiesce.adapters.{name}" for name in ADAPTERS)
LEAN = 3.0
"""Of what ``import requests`` alone costs, without which neither SDK nor hook client exists. Measured: 1.5 to 1.9."""


def run(*arguments: str, compiled: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``compiled``: where compiled modules are, when not beside their sources."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(SRC), **({"PYTHONPYCACHEPREFIX": str(compiled)} if compiled else {})},
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


def test_what_only_a_report_needs_is_not_loaded_until_one_is_asked_for() -> None:
    report = set(run("-c", "import sys,quiesce.reporting; print(*sys.modules)").stdout.split())
    loaded = set(run("-c", "import sys,quiesce.invocation; print(*sys.modules)").stdout.split())

    assert "quiesce.html_report.render" in report
    assert {"jinja2", "markupsafe"} & report == set(), "nor before it is drawn"
    rare = {"quiesce.reporting", "quiesce.html_report", "quiesce.history", "quiesce.followup", "click", "stamina"}
    assert rare & loaded == set()


@pytest.mark.parametrize("name", ["settings", "request", "policies", "naming", "plan", "budget"])
def test_what_decides_needs_neither_http_nor_the_sdk(name: str) -> None:
    loaded = run("-c", f"import sys,quiesce.{name}; print(*sys.modules)").stdout.split()

    assert {"requests", "urllib3", "stamina", "tencentcloud"} & set(loaded) == set()


def test_importing_the_adapters_stays_lean() -> None:
    """Processor time, the least of several, as a multiple of what cannot be avoided: machines and neighbours differ."""
    run("-c", f"import {EVERYTHING}")  # compiles, which the package brings done
    ours_s = min(import_s(EVERYTHING) for _ in range(3))
    unavoidable_s = min(import_s("requests") for _ in range(3))

    assert ours_s < LEAN * unavoidable_s


CLIENTS = ("cbs.v20170312.cbs_client", "cvm.v20170312.cvm_client", "tag.v20180813.tag_client", "cls.v20201016.cls_client")
BUDGET = 1.15
"""Of what the SDK's own clients of the four services cost, which the function calls through the core's CommonClient."""


def test_the_handler_costs_hardly_more_than_the_clients_of_what_it_calls(tmp_path: Path) -> None:
    """Processor time, the least of several, taken in turns: machines and neighbours differ, and so do minutes."""
    clients = ",".join(f"tencentcloud.{name}" for name in CLIENTS)
    for modules in ("index", clients):
        import_s(modules, tmp_path)  # compiles, which the package brings done

    def ratio() -> float:
        pairs = [(import_s("index", tmp_path), import_s(clients, tmp_path)) for _ in range(6)]
        return min(ours_s for ours_s, _ in pairs) / min(theirs_s for _, theirs_s in pairs)

    assert any(ratio() <= BUDGET for _ in range(3))


def import_s(modules: str, compiled: Path | None = None) -> float:
    code = f"import time; a = time.process_time(); import {modules}; print(time.process_time() - a)"
    return float(run("-c", code, compiled=compiled).stdout)
