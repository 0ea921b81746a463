"""The lab's SCF delivers asynchronous events at least once, retries errors twice, and can be told to deliver twice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab.scf import EXITED, OK, RAISED, Function
from quiesce_lab.scf_events import RETRIES, Queue
from tests.waiting import wait_until

HANDLER = """
import os, pathlib, time
def main_handler(event, context):
    seen = pathlib.Path(event["seen"])
    with seen.open("a") as file:
        file.write("x")
    if len(seen.read_text()) <= event.get("fails", 0):
        raise ValueError("not yet")
    while event.get("waits") and not pathlib.Path(event["waits"]).exists():
        time.sleep(0.01)
    return event["answer"]
"""


@pytest.fixture
def function(tmp_path: Path) -> Function:
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text(HANDLER)
    return Function(code, {}, (), "AKID", "secret", "ap-guangzhou", sys.executable)


def event(tmp_path: Path, **fields: object) -> dict[str, Any]:
    return {"seen": str(tmp_path / "seen"), "answer": 42, **fields}


def test_an_event_is_delivered_once_and_not_waited_for(function: Function, tmp_path: Path) -> None:
    queue = Queue(function)
    queue.enqueue(event(tmp_path, waits=str(tmp_path / "go")), "r-1")
    assert not queue.deliveries
    (tmp_path / "go").touch()
    assert queue.wait(10)
    assert len(queue.deliveries) == 1
    only = queue.deliveries[0]
    assert (only.attempt, only.copy, only.invoked.status, only.invoked.value) == (0, 0, OK, 42)


@pytest.mark.parametrize(
    ("fails", "statuses"), [(1, [RAISED, OK]), (2, [RAISED, RAISED, OK]), (9, [RAISED] * (RETRIES + 1))]
)
def test_an_error_is_retried_twice_at_most(function: Function, tmp_path: Path, fails: int, statuses: list[int]) -> None:
    queue = Queue(function, retry_after_s=0.01)
    queue.enqueue(event(tmp_path, fails=fails), "r-1")
    assert queue.wait(20)
    assert [one.invoked.status for one in queue.deliveries] == statuses


def test_an_event_may_come_twice(function: Function, tmp_path: Path) -> None:
    queue = Queue(function, comes_twice=lambda given, _copy: bool(given["answer"] == 42))
    queue.enqueue(event(tmp_path), "r-1")
    assert queue.wait(10)
    assert sorted(one.copy for one in queue.deliveries) == [0, 1]
    assert (tmp_path / "seen").read_text() == "xx"


def test_a_worker_that_is_killed_is_replaced(function: Function, tmp_path: Path) -> None:
    queue = Queue(function, retry_after_s=0.01, kill_after_s=lambda _event, attempt: None if attempt else 0.3)
    queue.enqueue(event(tmp_path, waits=str(tmp_path / "go")), "r-1")
    wait_until(lambda: queue.deliveries, timeout_s=10)
    (tmp_path / "go").touch()
    assert queue.wait(10)
    assert [(one.invoked.status, one.killed) for one in queue.deliveries] == [(EXITED, True), (OK, False)]
