"""Writes deploy/cls/: index, alarms and dashboard of the function's log in CLS, each in the shape of the API's request.

What is known of CLS here: the SDK's models cls 2020-10-16 and CLS's search syntax (CQL). `${...}` is filled in by whoever
applies them (deploy/cls/README.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.log_lines import FIELDS, LOG_FIELDS, NUMBER, PROSE, RECORD_FIELDS, WHOLE

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "deploy" / "cls"
TOKENIZER = "@&?|#()='\",;:<>[]{}/ \n\t\r\\"
"""CLS's own default. Neither - nor _ parts words, so ids and outcomes are found as a whole."""
WARN, INFO, CRITICAL = 0, 1, 2
HOUR, QUARTER = 60, 15
_CQL = 1
_TYPES = {WHOLE: "long", NUMBER: "double"}


@dataclass(frozen=True)
class Alarm:
    """Rings when a query finds something, or, with ``silent``, when it finds nothing. Times in minutes."""

    name: str
    says: str
    query: str
    level: int
    every: int = HOUR
    window: int = HOUR
    silent: bool = False


@dataclass(frozen=True)
class Panel:
    """One chart: what it shows, its kind, and what it asks."""

    title: str
    chart: str
    query: str


ALARMS = (
    Alarm(
        "release-not-confirmed",
        "A release could not be confirmed: look at the instance NOW (quiesced status; systemctl restart quiesced).",
        "(step:release AND outcome:trouble) OR (step:target AND release_confirmed:false)",
        CRITICAL,
        QUARTER,
        QUARTER,
    ),
    Alarm(
        "objective-missed",
        "The newest point of a disk is older than its objective (quiesce coverage).",
        "step:coverage AND outcome:late",
        CRITICAL,
    ),
    Alarm(
        "run-failed",
        "A run got no complete set for an instance, or could not begin.",
        "((step:run OR step:batch) AND outcome:failed) OR (step:request AND outcome:refused AND NOT kind:RequestError)",
        WARN,
        QUARTER,
        QUARTER,
    ),
    Alarm("run-weaker", "A run got less than it was asked for.", "(step:run OR step:batch) AND outcome:weaker", WARN),
    Alarm(
        "snapshot-lost",
        "A snapshot is not complete after six hours, or its set has lost a member.",
        "step:snapshot AND (outcome:stuck OR outcome:vanished)",
        WARN,
    ),
    Alarm("not-deleted", "Retention could not delete a snapshot.", "step:prune AND outcome:not_deleted", INFO),
    Alarm(
        "copy-or-share-failed",
        "A copy in another region or a share with another account is not as its policy says.",
        "(step:copy AND (outcome:not_begun OR outcome:not_settled OR outcome:not_listed)) "
        "OR (step:share AND outcome:trouble)",
        WARN,
    ),
    Alarm("message-not-sent", "A notification did not arrive.", "step:notify AND outcome:trouble", WARN),
    Alarm(
        "follow-up-silent",
        "No follow-up has ended in three hours, so no missed objective would be seen.",
        "step:follow_up AND outcome:done",
        WARN,
        window=3 * HOUR,
        silent=True,
    ),
)
_DAY = "histogram(cast(__TIMESTAMP__ as timestamp), interval 1 day) AS day"
PANELS = (
    Panel(
        "Runs a day",
        "stacked bars",
        f"step:run AND NOT outcome:planned | SELECT {_DAY}, outcome, count(*) AS runs GROUP BY day, outcome ORDER BY day",
    ),
    Panel(
        "Levels reached a day",
        "stacked bars",
        f"step:target AND NOT outcome:started | SELECT {_DAY}, level, count(*) AS sets GROUP BY day, level ORDER BY day",
    ),
    Panel(
        "How long writers were held",
        "table",
        "step:release AND outcome:released | SELECT instance_id, count(*) AS holds, approx_percentile(held_ms, 0.5) AS "
        "p50_ms, approx_percentile(held_ms, 0.99) AS p99_ms, max(held_ms) AS longest_ms, max(stalled_writers) AS "
        "most_writers GROUP BY instance_id ORDER BY longest_ms DESC LIMIT 50",
    ),
    Panel(
        "Disks that are late, or covered by nobody",
        "table",
        "step:coverage AND (outcome:late OR outcome:uncovered) | SELECT disk_id, instance_id, outcome, max(age_hours) AS "
        "hours, max(objective_hours) AS allowed_hours GROUP BY disk_id, instance_id, outcome ORDER BY hours DESC LIMIT 100",
    ),
    Panel(
        "Snapshots on their way, stuck and lost",
        "lines",
        "step:follow_up AND outcome:done | SELECT histogram(cast(__TIMESTAMP__ as timestamp), interval 1 hour) AS hour, "
        "max(creating) AS on_their_way, max(stuck) AS stuck_now, max(vanished) AS lost GROUP BY hour ORDER BY hour",
    ),
    Panel(
        "What gave trouble",
        "table",
        "outcome:trouble OR outcome:refused | SELECT step, reason, count(*) AS times GROUP BY step, reason "
        "ORDER BY times DESC LIMIT 50",
    ),
)


def index(topic: str, names: Iterable[str]) -> dict[str, object]:
    """Make the request of CreateIndex and of ModifyIndex for one topic."""
    values = [{"Key": name, "Value": _value(FIELDS[name].kind)} for name in names]
    return {
        "TopicId": topic,
        "Rule": {
            "FullText": {"CaseSensitive": False, "Tokenizer": TOKENIZER, "ContainZH": True},
            "KeyValue": {"CaseSensitive": True, "KeyValues": values},
        },
        "Status": True,
        "IncludeInternalFields": True,
        "MetadataFlag": 1,
    }


def _value(kind: str) -> dict[str, object]:
    if kind in _TYPES:
        return {"Type": _TYPES[kind], "Tokenizer": "", "SqlFlag": True, "ContainZH": False}
    return {"Type": "text", "Tokenizer": TOKENIZER, "SqlFlag": True, "ContainZH": kind == PROSE}


def alarm(one: Alarm) -> dict[str, object]:
    """Make the request of CreateAlarm."""
    target = {
        "LogsetId": "${LOGSET_ID}",
        "TopicId": "${LOG_TOPIC_ID}",
        "Query": f"{one.query} | SELECT count(*) AS found",
        "Number": 1,
        "StartTimeOffset": -one.window,
        "EndTimeOffset": 0,
        "SyntaxRule": _CQL,
    }
    return {
        "Name": f"quiesce-{one.name}",
        "AlarmTargets": [target],
        "MonitorTime": {"Type": "Period", "Time": one.every},
        "TriggerCount": 1,
        "AlarmPeriod": one.every,
        "Condition": "$1.found < 1" if one.silent else "$1.found > 0",
        "AlarmLevel": one.level,
        "MessageTemplate": one.says,
        "AlarmNoticeIds": ["${ALARM_NOTICE_ID}"],
        "Status": True,
    }


def files() -> Mapping[str, str]:
    """Make every file's text, by its name."""
    made: dict[str, object] = {
        "index-log.json": index("${LOG_TOPIC_ID}", LOG_FIELDS),
        "index-records.json": index("${RECORD_TOPIC_ID}", dict.fromkeys(RECORD_FIELDS)),
        "dashboard.json": {"DashboardName": "quiesce"},
        "panels.json": [vars(panel) for panel in PANELS],
        **{f"alarm-{one.name}.json": alarm(one) for one in ALARMS},
    }
    return {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    for file, text in files().items():
        (HOME / file).write_text(text)
