"""deploy/cls/ has requests that CLS's own SDK takes, about fields that the log has and the index knows."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import pytest
from scripts import cls_definitions
from scripts.cls_definitions import ALARMS, HOME, PANELS
from scripts.log_lines import FIELDS, LOG_FIELDS, RECORD_FIELDS, STEPS, WORD

models: Any = importlib.import_module("tencentcloud.cls.v20201016.models")
FILES = cls_definitions.files()
SQL_WORDS = {
    *("select", "as", "group", "by", "order", "desc", "limit", "cast", "timestamp", "interval", "day", "hour"),
    *("count", "max", "histogram", "approx_percentile"),
}
INDEXED = {entry["Key"] for entry in json.loads(FILES["index-log.json"])["Rule"]["KeyValue"]["KeyValues"]}


def taken_by(request: Any, content: dict[str, Any]) -> dict[str, Any]:
    """What the SDK makes of a request. It warns of what it does not know, and warnings are errors here."""
    request.from_json_string(json.dumps(content))
    taken: dict[str, Any] = request._serialize()
    return taken


def model_of(name: str) -> list[Any]:
    if name.startswith("index-"):
        return [models.CreateIndexRequest(), models.ModifyIndexRequest()]
    return [models.CreateDashboardRequest()] if name == "dashboard.json" else [models.CreateAlarmRequest()]


@pytest.mark.parametrize("name", [name for name in FILES if name != "panels.json"])
def test_the_sdk_takes_every_request_whole(name: str) -> None:
    content = json.loads((HOME / name).read_text())
    for model in model_of(name):
        assert taken_by(model, content) == content


def test_the_sdk_warns_of_a_name_that_it_does_not_know() -> None:
    with pytest.raises(UserWarning, match="Querry"):
        taken_by(models.CreateAlarmRequest(), {"AlarmTargets": [{"Querry": "x"}]})


def test_the_files_are_those_that_are_generated() -> None:
    there = {path.name: path.read_text() for path in HOME.glob("*.json")}
    assert there == FILES, "run python -m scripts.cls_definitions"


def test_every_field_of_the_log_and_of_the_records_is_indexed() -> None:
    assert set(LOG_FIELDS) == INDEXED
    records = json.loads(FILES["index-records.json"])["Rule"]["KeyValue"]["KeyValues"]
    assert {entry["Key"] for entry in records} == set(RECORD_FIELDS)


def test_the_index_keeps_to_the_rules_of_the_models() -> None:
    for name in ("index-log.json", "index-records.json"):
        entries = json.loads(FILES[name])["Rule"]["KeyValue"]["KeyValues"]
        assert len(entries) <= 300
        assert len({entry["Key"] for entry in entries}) == len(entries)
        for entry in entries:
            assert re.fullmatch(r"[A-Za-z0-9./@-][A-Za-z0-9_./@-]*", entry["Key"])
            if entry["Value"]["Type"] in ("long", "double"):
                assert (entry["Value"]["Tokenizer"], entry["Value"]["ContainZH"]) == ("", False)
        assert {entry["Value"]["Type"] for entry in entries} <= {"text", "long", "double"}


QUERIES = [pytest.param(one.query, id=one.name) for one in ALARMS] + [
    pytest.param(one.query, id=one.title) for one in PANELS
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_fields_steps_and_outcomes_that_there_are(query: str) -> None:
    search, _, sql = query.partition("|")
    conditions = re.findall(r"(\w+):(\w+)", search)
    assert conditions
    assert {field for field, _ in conditions} <= INDEXED
    assert {FIELDS[field].kind for field, _ in conditions} == {WORD}
    steps = [value for field, value in conditions if field == "step"]
    assert set(steps) <= set(STEPS)
    outcomes = {outcome for step in steps or STEPS for outcome in STEPS[step].outcomes}
    assert {value for field, value in conditions if field == "outcome"} <= outcomes
    leftover = re.sub(r"\w+:\w+|\bAND\b|\bOR\b|\bNOT\b|[() ]", "", search)
    assert leftover == "", "nothing but conditions and what joins them"
    assert columns(sql) <= INDEXED


def columns(sql: str) -> set[str]:
    """Names in a statement that are neither its own aliases nor words of SQL."""
    names = set(re.findall(r"[A-Za-z_]\w*", sql))
    aliases = set(re.findall(r"\bAS (\w+)", sql))
    return {name for name in names - aliases if name.lower() not in SQL_WORDS} - {"__TIMESTAMP__"}


def test_a_name_that_is_no_field_is_found_in_a_statement() -> None:
    assert columns(" SELECT max(held_s) AS longest GROUP BY instance_id") == {"held_s", "instance_id"}


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("alarm-")])
def test_an_alarm_keeps_to_the_limits_of_the_models(name: str) -> None:
    alarm = json.loads(FILES[name])
    (target,) = alarm["AlarmTargets"]
    assert len(alarm["Name"].encode()) <= 255
    assert "|" not in alarm["Name"]
    assert -1440 <= target["StartTimeOffset"] < target["EndTimeOffset"] <= 0
    assert 1 <= alarm["MonitorTime"]["Time"] <= 1440
    assert -target["StartTimeOffset"] >= alarm["MonitorTime"]["Time"], "what falls between two looks would not be seen"
    assert alarm["AlarmLevel"] in (0, 1, 2)
    assert re.fullmatch(r"\$1\.found [<>] \d", alarm["Condition"])
    assert target["Query"].endswith("| SELECT count(*) AS found")


def test_what_was_promised_has_an_alarm() -> None:
    queries = " ".join(one.query for one in ALARMS)
    for wanted in (
        "outcome:late",
        "release_confirmed:false",
        "outcome:failed",
        "outcome:vanished",
        "outcome:stuck",
        "not_deleted",
    ):
        assert wanted in queries


def test_every_placeholder_is_explained() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", "".join(FILES.values())))
    explained = set(re.findall(r"^\| `(\w+)` \|", (HOME / "README.md").read_text(), re.M))
    assert used == explained
