"""The report of an estate in the lab's cloud, with its history in CLS: by the command, and by the function."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quiesce.adapters import cls_search
from quiesce.adapters.cls import RunRecords
from quiesce.adapters.cls_search import LogSearch
from quiesce.adapters.tencent import Cloud
from quiesce.commands.report import report
from quiesce.errors import CloudError
from quiesce.history.lines import Line, record_of
from quiesce.invocation import handle
from quiesce.request import sign
from tests.function.html_seen import Page
from tests.function.report_records import steps
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import BARE, DISK, INSTANCE, add, populate, settings_for

RECORDS, LOG = "topic-records", "topic-log"
HTTP_KEY = "a key of the tests, long enough"
DAY_MS = 86_400_000


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        lab.cloud.settings.searchable_after_s = 0.0
        lab.cloud.world.add_topic(RECORDS)
        lab.cloud.world.add_topic(LOG)
        add(lab, 1, 0.5)
        yield lab


def environment(lab: Lab, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "TENCENTCLOUD_SECRETID": SECRET_ID,
        "TENCENTCLOUD_SECRETKEY": SECRET_KEY,
        "TENCENTCLOUD_SESSIONTOKEN": TOKEN,
        "QUIESCE_REGION": REGION,
        "QUIESCE_CLOUD_ENDPOINT": lab.endpoint,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
        "QUIESCE_POLICIES": str(tmp_path / "policies.toml"),
        **more,
    }


def record(number: int, **fields: object) -> dict[str, object]:
    """A run record as it is uploaded."""
    certificate = {"issued_at": "", "stalls": [{"name": "orders", "peak_writers": 7, "writer_s": 0.5, "samples": 3}]}
    body = {"targets": [{"status": fields.pop("status", "reached"), "certificate": certificate}]}
    usual = {"level": "application", "level_asked": "application", "held_ms": 300.5 + number, "release_confirmed": True}
    ids = {"run_id": f"{number:010x}", "policy": "nightly", "instance_id": INSTANCE}
    return {**ids, **usual, "reason": "", **fields, "record": body}


def file_history(lab: Lab, tmp_path: Path, count: int = 3) -> None:
    """File records, the newest a failure, and the steps of each of them."""
    cloud = Cloud(settings_for(lab, tmp_path).cloud)
    now_ms = time.time_ns() // 1_000_000
    for number in range(count):
        last = {"status": "failed", "level": "none", "reason": "blocked: <b>session 4711</b>"} if number == count - 1 else {}
        at_ms = now_ms - (count - number) * DAY_MS
        filed = record(number, **last)
        RunRecords(cloud, RECORDS).write([filed], at_ms)
        parsed = record_of(Line(None, filed))
        assert parsed is not None
        RunRecords(cloud, LOG).write(steps(parsed), at_ms)


def run(lab: Lab, tmp_path: Path, *arguments: str) -> Result:
    policies = ["--policies", str(tmp_path / "policies.toml")]
    return CliRunner().invoke(report, [*policies, *arguments], env=environment(lab, tmp_path))


def test_the_command_writes_what_the_cloud_and_the_topics_hold(lab: Lab, tmp_path: Path) -> None:
    file_history(lab, tmp_path)
    output = tmp_path / "report.html"
    done = run(lab, tmp_path, "--topic", RECORDS, "--log-topic", LOG, "--output-file", str(output))
    assert done.exit_code == 0, done.output
    said = Page(output.read_text()).text
    assert DISK in said
    assert BARE in said
    assert "blocked: <b>session 4711</b>" in said
    assert "CreateSnapshot" in said
    assert "orders: at most 7 writers waited" in said


def test_the_same_as_json_has_every_figure(lab: Lab, tmp_path: Path) -> None:
    file_history(lab, tmp_path)
    done = run(lab, tmp_path, "--topic", RECORDS, "--format", "json", "--output-file", "-")
    told = json.loads(done.output)
    assert {disk["disk_id"]: disk["finding"] for disk in told["disks"]} == {DISK: "covered", BARE: "uncovered"}
    (stalls,) = told["stalls"]
    assert (stalls["holds"], stalls["max_ms"], stalls["hold_limit_ms"]) == (3, 302.5, 10_000)
    assert [trouble["status"] for trouble in told["troubles"]] == ["failed"]
    assert "topic of the function's log was not given" in told["notes"][0]


def test_days_bound_what_is_asked_of_the_log(lab: Lab, tmp_path: Path) -> None:
    file_history(lab, tmp_path, count=9)
    done = run(lab, tmp_path, "--topic", RECORDS, "--days", "4", "--format", "json", "--output-file", "-")
    assert json.loads(done.output)["records"] == 3
    (call,) = lab.cloud.record.of("SearchLog")
    assert 0 <= call.request["To"] - call.request["From"] - 4 * DAY_MS <= 1


def test_the_log_alone_gives_the_history_too(lab: Lab, tmp_path: Path) -> None:
    fields = {"step": "target", "outcome": "weaker", **record(1, level="crash", reason="not durable")}
    del fields["record"]
    RunRecords(Cloud(settings_for(lab, tmp_path).cloud), LOG).write(
        [{"step": "run", "outcome": "planned"}, fields], time.time_ns() // 1_000_000 - 1000
    )
    done = run(lab, tmp_path, "--log-topic", LOG, "--format", "json", "--output-file", "-")
    told = json.loads(done.output)
    assert [(one["status"], one["reason"]) for one in told["troubles"]] == [("weaker", "not durable")]


def test_without_a_history_the_estate_is_shown_and_that_is_said(lab: Lab, tmp_path: Path) -> None:
    done = run(lab, tmp_path, "--output-file", "-")
    assert done.exit_code == 0
    said = Page(done.output).text
    assert "No history was given" in said
    assert DISK in said


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        pytest.param(["--topic", "topic-9"], 5, id="no such topic"),
        pytest.param(["--from", "/nowhere.jsonl"], 4, id="no such file"),
        pytest.param(["--from", "x", "--topic", RECORDS], 2, id="a file and a topic"),
        pytest.param(["--days", "367"], 2, id="more than a year"),
    ],
)
def test_what_cannot_be_had_ends_in_its_own_status(lab: Lab, tmp_path: Path, arguments: list[str], status: int) -> None:
    done = run(lab, tmp_path, *arguments, "--output-file", str(tmp_path / "report.html"))
    assert done.exit_code == status, done.output
    assert not (tmp_path / "report.html").exists()


def asked(lab: Lab, tmp_path: Path, path: str = "/report", key: str = HTTP_KEY, **more: str) -> dict[str, Any]:
    """What the function answers to a signed GET."""
    at = str(int(time.time()))
    query = dict(pair.split("=") for pair in path.partition("?")[2].split("&") if pair)
    headers = {"X-Quiesce-Timestamp": at, "X-Quiesce-Signature": sign(key.encode(), at, "", path.encode())}
    event = {"httpMethod": "GET", "path": path.partition("?")[0], "headers": headers, "queryString": query, "body": ""}
    env = environment(
        lab,
        tmp_path,
        QUIESCE_HOOK_KEY="k1:a shared secret of the tests",
        QUIESCE_HOOK_CA=str(lab.ca_file),
        QUIESCE_CERTIFICATE_KEY="c1:a secret of the tests",
        QUIESCE_HTTP_KEY=HTTP_KEY,
        **more,
    )
    answer = handle(event, {"request_id": "r", "time_limit_in_ms": 300_000}, env, StringIO())
    assert isinstance(answer, dict)
    return answer


def test_the_function_answers_with_the_page(lab: Lab, tmp_path: Path) -> None:
    file_history(lab, tmp_path)
    answer = asked(lab, tmp_path, "/report?days=7", QUIESCE_CLS_TOPIC=RECORDS, QUIESCE_LOG_TOPIC=LOG)
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "text/html; charset=utf-8")
    said = Page(answer["body"]).text
    assert DISK in said
    assert "the last 7 days" in said
    assert "CreateSnapshot" in said
    assert len(json.dumps(answer)) < 6_000_000


def test_the_function_answers_nobody_who_has_not_the_key(lab: Lab, tmp_path: Path) -> None:
    answer = asked(lab, tmp_path, key="not this one, and long enough")
    assert answer["statusCode"] == 401
    assert lab.cloud.record.calls == ()


def test_a_topic_that_is_not_there_is_an_answer_of_the_function_too(lab: Lab, tmp_path: Path) -> None:
    answer = asked(lab, tmp_path, QUIESCE_CLS_TOPIC="topic-9")
    assert answer["statusCode"] == 502
    assert "TopicNotExist" in answer["body"]


def searched(lab: Lab, tmp_path: Path) -> LogSearch:
    return LogSearch(Cloud(settings_for(lab, tmp_path).cloud), RECORDS)


@pytest.mark.parametrize("same_moment", [1, 3])
def test_a_search_gives_every_line_once_and_the_newest_first_however_many_pages_and_contexts_it_takes(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_moment: int
) -> None:
    monkeypatch.setattr(cls_search, "LINES_A_PAGE", 2)
    monkeypatch.setattr(cls_search, "LINES_A_CONTEXT", 4)
    cloud = Cloud(settings_for(lab, tmp_path).cloud)
    for number in range(0, 21, same_moment):
        RunRecords(cloud, RECORDS).write(
            [{"n": str(n)} for n in range(number, number + same_moment)], 1_000_000_000_000 + number
        )
    found = list(searched(lab, tmp_path).find("", 0, 2_000_000_000_000))
    numbers = [int(json.loads(line.log_json or "")["n"]) for line in found]
    assert sorted(numbers) == list(range(21))
    assert [line.time for line in found] == sorted((line.time for line in found), reverse=True)


def test_a_search_is_bounded_by_its_times(lab: Lab, tmp_path: Path) -> None:
    cloud = Cloud(settings_for(lab, tmp_path).cloud)
    for number in range(5):
        RunRecords(cloud, RECORDS).write([{"n": str(number)}], 1_000_000_000_000 + number)
    found = searched(lab, tmp_path).find("", 1_000_000_000_001, 1_000_000_000_003)
    assert [json.loads(line.log_json or "")["n"] for line in found] == ["2", "1"]


def test_a_search_that_is_refused_is_an_error(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="SyntaxError"):
        list(searched(lab, tmp_path).find('"', 0, 2_000_000_000_000))
