"""Faults, the record, the control socket, and the server underneath."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from quiesce_lab.cloud import faults
from quiesce_lab.cloud.control import Control, ask
from quiesce_lab.errors import LabError
from tests.lab.cloud_world import SECRET_KEY, TOKEN, Lab, running_lab
from tests.waiting import wait_until


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.disk("disk-a")
        yield lab


@pytest.fixture
def control_path(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    control = Control(lab.cloud, path)
    control.start()
    yield path
    control.stop()


CREATE = {"DiskId": "disk-a", "SnapshotName": "quiesce-1"}


@pytest.mark.parametrize(
    ("fault", "code", "made"),
    [
        pytest.param(faults.throttled(), "RequestLimitExceeded", 0, id="throttled"),
        pytest.param(faults.refuse("InvalidDisk.Busy"), "InvalidDisk.Busy", 0, id="refused"),
        pytest.param(faults.http_500(), "ServerNetworkError", 0, id="HTTP 500"),
        pytest.param(faults.hang(0.3), "ClientNetworkError", 0, id="hang"),
        pytest.param(faults.error_after_success(), "InternalError", 1, id="error after success"),
        pytest.param(faults.lost_response(), "ClientNetworkError", 1, id="lost response"),
        pytest.param(faults.not_json(), "JSONDecodeError", 1, id="not JSON"),
    ],
)
def test_a_fault_gives_its_error_and_makes_what_it_says(
    lab: Lab, caplog: pytest.LogCaptureFixture, fault: faults.Fault, code: str, made: int
) -> None:
    lab.cloud.faults.set("CreateSnapshot", fault)
    with pytest.raises((TencentCloudSDKException, json.JSONDecodeError)) as failed:
        lab.call("cbs", "CreateSnapshot", CREATE)

    assert getattr(failed.value, "code", type(failed.value).__name__) == code
    assert lab.call("cbs", "DescribeSnapshots")["TotalCount"] == made == len(lab.blocks.cuts)
    call = lab.cloud.record.of("CreateSnapshot")[0]
    assert call.fault == fault.kind.value
    assert (call.snapshot_id is not None, call.cut_at is not None) == (bool(made), bool(made))
    assert [entry for entry in caplog.records if entry.name == "quiesce_lab.cloud"] == [], "a fault is no defect"


def test_a_null_id_comes_with_a_snapshot_that_can_be_found_by_name(lab: Lab) -> None:
    lab.cloud.faults.set("CreateSnapshot", faults.null_snapshot_id())
    answer = lab.call("cbs", "CreateSnapshot", CREATE)
    by_name = [{"Name": "snapshot-name", "Values": ["quiesce-1"]}]

    assert answer["SnapshotId"] is None
    found = lab.call("cbs", "DescribeSnapshots", {"Filters": by_name})["SnapshotSet"]
    assert [one["SnapshotId"] for one in found] == [lab.cloud.record.of("CreateSnapshot")[0].snapshot_id]


def test_a_slow_call_is_carried_out_within_the_longer_latency(lab: Lab) -> None:
    lab.cloud.settings.cut_at = "end"
    lab.cloud.faults.set("CreateSnapshot", faults.slow(0.4))
    began = time.monotonic()
    lab.snapshot("disk-a")
    call = lab.cloud.record.of("CreateSnapshot")[0]

    assert time.monotonic() - began >= 0.4
    assert call.cut_at is not None and call.cut_at - call.arrived_at >= 0.4


def test_a_call_that_the_client_gave_up_on_is_carried_out_all_the_same(lab: Lab) -> None:
    lab.cloud.faults.set("CreateSnapshot", faults.slow(1.0))
    with pytest.raises(TencentCloudSDKException) as failed:
        lab.client("cbs", reqTimeout=0.3).call_json("CreateSnapshot", CREATE)

    assert failed.value.code == "ClientNetworkError"
    wait_until(lambda: lab.cloud.record.of("CreateSnapshot")[0].answered_at)
    assert lab.call("cbs", "DescribeSnapshots")["TotalCount"] == 1


def test_a_stuck_snapshot_never_becomes_normal_and_keeps_its_disk_busy(lab: Lab) -> None:
    lab.cloud.faults.set("CreateSnapshot", faults.stuck_at(37))
    snapshot_id = lab.snapshot("disk-a")
    lab.clock.passed_s += 200
    listed = lab.listed(snapshot_id)

    assert listed and (listed["SnapshotState"], listed["Percent"]) == ("CREATING", 37)
    assert lab.error_of("cbs", "CreateSnapshot", CREATE) == "InvalidDisk.SnapshotCreating"


def test_a_vanishing_snapshot_is_listed_and_then_is_gone_with_its_image(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    lab.cloud.faults.set("CreateSnapshot", faults.vanished())
    snapshot_id = lab.snapshot("disk-a")
    assert lab.listed(snapshot_id)
    lab.clock.passed_s += 60

    assert lab.listed(snapshot_id) is None
    assert lab.blocks.snapshots == {}


def test_a_fault_meets_as_many_calls_as_it_was_set_for_and_only_those_that_match(lab: Lab) -> None:
    lab.disk("disk-b")
    lab.cloud.faults.set("CreateSnapshot", faults.throttled(), times=2, match={"DiskId": "disk-b"})

    def codes(disk_id: str, times: int) -> list[str]:
        return [lab.error_of("cbs", "CreateSnapshot", {"DiskId": disk_id}) for _ in range(times)]

    assert codes("disk-a", 1) == [""]
    assert codes("disk-b", 3) == ["RequestLimitExceeded", "RequestLimitExceeded", ""]
    assert lab.cloud.faults.planned == ()


def test_a_fault_can_stay_until_it_is_cleared_and_match_within_a_list(lab: Lab) -> None:
    lab.cloud.faults.set("DescribeDisks", faults.throttled(), times=None, match={"DiskIds": "disk-a"})
    request = {"DiskIds": ["disk-z", "disk-a"]}
    assert [lab.error_of("cbs", "DescribeDisks", request) for _ in range(3)] == ["RequestLimitExceeded"] * 3
    lab.cloud.faults.clear()

    assert lab.error_of("cbs", "DescribeDisks", request) == ""


@pytest.mark.parametrize(
    ("action", "kind", "values"),
    [
        pytest.param("CreateSnapshots", "throttled", {}, id="no such action"),
        pytest.param("DescribeDisks", "stuck_at", {"percent": 3}, id="not a snapshot"),
        pytest.param("CreateSnapshot", "stuck_at", {"percent": 100}, id="percent"),
        pytest.param("CreateSnapshot", "refuse", {}, id="no code"),
        pytest.param("CreateSnapshot", "slow", {}, id="no seconds"),
        pytest.param("CreateSnapshot", "throttled", {"seconds": 3}, id="seconds of another fault"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(lab: Lab, action: str, kind: str, values: dict[str, Any]) -> None:
    with pytest.raises(LabError):
        lab.cloud.faults.set(action, faults.Fault(faults.FaultKind(kind), **values))


def test_the_record_tells_what_came_and_when_and_keeps_no_secret(lab: Lab) -> None:
    before = time.monotonic()
    snapshot_id = lab.snapshot("disk-a", SnapshotName="quiesce-1")
    after = time.monotonic()
    (call,) = lab.cloud.record.calls

    assert (call.action, call.service, call.region, call.version) == (
        "CreateSnapshot", "cbs", "ap-guangzhou", "2017-03-12",
    )  # fmt: skip
    assert (call.request, call.snapshot_id, call.host) == (CREATE, snapshot_id, lab.endpoint)
    assert (call.with_token, call.error_code, call.language) == (True, None, "zh-CN")
    assert call.user_agent.startswith("python-requests/")
    assert call.cut_at is not None and call.answered_at is not None
    assert before < call.arrived_at <= call.cut_at <= call.answered_at < after
    assert SECRET_KEY not in repr(call) and TOKEN not in repr(call) and "Signature" not in repr(call)


def test_another_process_sets_faults_and_settings_and_reads_the_record(lab: Lab, control_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from quiesce_lab.cloud.control import ask\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "ask(path, 'faults.set', {'action': 'CreateSnapshot', 'fault': {'kind': 'refuse', 'code': 'ResourceBusy'}})\n"
        "ask(path, 'settings.set', {'cut_at': 'end', 'latency_s': {'CreateSnapshot': 0.1}})\n"
        "print(len(ask(path, 'faults.list')), ask(path, 'settings.get')['cut_at'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(control_path)], capture_output=True, text=True, env=environment, check=True
    )

    assert done.stdout.split() == ["1", "end"]
    assert stat.S_IMODE(control_path.stat().st_mode) == 0o600
    assert lab.error_of("cbs", "CreateSnapshot", CREATE) == "ResourceBusy"
    assert lab.cloud.settings.latency_s == {"CreateSnapshot": 0.1}
    (recorded,) = ask(control_path, "record.list")
    assert (recorded["action"], recorded["error_code"]) == ("CreateSnapshot", "ResourceBusy")
    ask(control_path, "record.clear")
    assert lab.cloud.record.calls == ()


@pytest.mark.parametrize(
    ("do", "values"),
    [
        pytest.param("world.end", {}, id="unknown deed"),
        pytest.param("settings.set", {"speed": 3}, id="unknown setting"),
        pytest.param("settings.set", {"cut_at": "never"}, id="wrong choice"),
        pytest.param("settings.set", {"snapshot_seconds": -1}, id="negative time"),
        pytest.param("faults.set", {"action": "CreateSnapshot", "fault": {"kind": "fire"}}, id="unknown kind"),
        pytest.param(
            "faults.set", {"action": "CreateSnapshot", "fault": {"kind": "throttled", "size": 1}}, id="unknown field"
        ),
        pytest.param("faults.set", {"action": "CreateSnapshot"}, id="no fault"),
    ],
)
def test_the_control_socket_refuses_what_it_does_not_know(
    lab: Lab, control_path: Path, do: str, values: dict[str, Any]
) -> None:
    before = ask(control_path, "settings.get")
    with pytest.raises(LabError):
        ask(control_path, do, values)

    assert ask(control_path, "settings.get") == before
    assert lab.cloud.faults.planned == ()


def test_asking_where_no_cloud_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is the lab running"):
        ask(tmp_path / "none.sock", "record.list")


def test_one_connection_carries_many_calls_without_delay(lab: Lab) -> None:
    lab.cloud.settings.rate_limit["DescribeDisks"] = 1000
    client = lab.client("cbs", keepAlive=True)
    client.call_json("DescribeDisks", {})
    took_s = []
    for _ in range(21):
        began = time.monotonic()
        client.call_json("DescribeDisks", {})
        took_s.append(time.monotonic() - began)

    # Nagle's algorithm with delayed acknowledgements would cost 40 ms a call.
    assert statistics.median(took_s) < 0.03


def test_a_connection_stays_open_between_calls(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(lab.ca_file))
    connection = http.client.HTTPSConnection("127.0.0.1", lab.cloud.port, context=context, timeout=5)
    with contextlib.closing(connection):
        seen = set()
        for _ in range(3):
            connection.request("POST", "/", b"{}")
            answer = connection.getresponse()
            seen.add((answer.version, answer.status, len(answer.read()) > 0, connection.sock.fileno()))

    assert len(seen) == 1 and seen.pop()[:3] == (11, 200, True)


def test_plain_http_is_not_spoken(lab: Lab) -> None:
    with socket.create_connection(("127.0.0.1", lab.cloud.port), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        try:
            answer = connection.recv(1024)
        except ConnectionResetError:
            answer = b""

    assert not answer.startswith(b"HTTP/1.1 200")
    assert lab.cloud.record.calls == ()


def test_stopping_does_not_wait_for_a_call_that_hangs(lab: Lab) -> None:
    lab.cloud.faults.set("DescribeDisks", faults.hang(60))
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(lab.error_of, "cbs", "DescribeDisks")
        wait_until(lambda: [call for call in lab.cloud.record.calls if call.fault])
        began = time.monotonic()
        lab.cloud.stop()

        assert hanging.result(5) == "ClientNetworkError"
        assert time.monotonic() - began < 5
