"""UploadLog and a thin SearchLog of CLS."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from quiesce_lab.cloud import loggroup
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.model import LogLine, Topic

_MIB = 1024 * 1024
_MAX_GROUP, _MAX_VALUE, _MAX_LINES = 5 * _MIB, _MIB, 10_000
_MAX_QUERY = 12 * 1024
_TERM = re.compile(r'(?:(?P<key>[\w.\-]+):)?(?:"(?P<quoted>[^"]*)"|(?P<word>[^\s"():|]+))')
_OPERATORS = frozenset({"OR", "NOT"})


def upload_log(context: Context) -> Answer:
    """Take the lines of a LogGroupList; all of them, or none when one is wrong."""
    if context.body.get("CompressType"):
        raise ApiError("UnsupportedOperation", "The lab takes uncompressed logs only.")
    topic = _topic(context, context.body["TopicId"])
    try:
        groups = loggroup.decode(context.payload)
    except loggroup.DecodeError as error:
        raise ApiError("InvalidParameter.Content", f"The body is not a LogGroupList: {error}.") from error
    if not any(group.logs for group in groups):
        raise ApiError("FailedOperation.MissingContent", "The body holds no log.")
    for group in groups:
        _check_group(group)
    lines = [line for group in groups for line in _lines(context, group)]
    with context.world.lock:
        topic.lines.extend(lines)
    return {}


def search_log(context: Context) -> Answer:
    """Find lines in [From, To) that hold every term: a word anywhere, or ``key:value`` for a whole value.

    Words are joined by AND; anything else of CLS's query language is a SyntaxError here.
    """
    body, now_s = context.body, context.now_s()
    if ("TopicId" in body) == ("Topics" in body):
        raise ApiError("InvalidParameter", "Give one of `TopicId` and `Topics`.")
    if "Topics" in body:
        raise ApiError("UnsupportedOperation", "The lab searches one topic at a time.")
    terms = _terms(body.get("QueryString", body.get("Query", "")))
    topic = _topic(context, body["TopicId"])
    with context.world.lock:
        found = [
            line
            for line in topic.lines
            if now_s >= line.searchable_at_s and body["From"] <= line.time_ms < body["To"] and _holds(line, terms)
        ]
    found.sort(key=lambda line: line.time_ms, reverse=_descending(body))
    offset, limit = _window(body)
    shown = found[offset : offset + limit]
    end = offset + len(shown)
    return {
        "Context": "" if end >= len(found) else str(end),
        "ListOver": end >= len(found),
        "Analysis": False,
        "Results": [_view(line, topic) for line in shown],
        "ColNames": None,
        "AnalysisResults": None,
        "AnalysisRecords": None,
        "Columns": None,
        "SamplingRate": 1.0,
        "Topics": None,
    }


def _topic(context: Context, topic_id: str) -> Topic:
    with context.world.lock:
        topic = context.estate.topics.get(topic_id)
    if topic is None:
        raise ApiError("ResourceNotFound.TopicNotExist", f"The topic `{topic_id}` does not exist.")
    return topic


def _check_group(group: loggroup.LogGroup) -> None:
    pairs = [pair for log in group.logs for pair in log.contents]
    if group.size > _MAX_GROUP or any(len(value.encode()) > _MAX_VALUE for _, value in pairs):
        raise ApiError("LimitExceeded.LogSize", "A LogGroup has at most 5 MB, and a value at most 1 MB.")
    if len(group.logs) > _MAX_LINES:
        raise ApiError("LimitExceeded.LogSize", f"A LogGroup has at most {_MAX_LINES} logs.")
    if bad := [key for key, _ in pairs if key.startswith("_")]:
        raise ApiError("InvalidParameter.Content", f"The key `{bad[0]}` starts with an underscore.")


def _lines(context: Context, group: loggroup.LogGroup) -> list[LogLine]:
    package = uuid.uuid4().hex.upper()
    tags = {f"__TAG__.{key}": value for key, value in group.tags}
    searchable_at_s = context.now_s() + context.settings.searchable_after_s
    return [
        LogLine(
            time_ms=_milliseconds(log.time or 0),
            content={**dict(log.contents), **tags},
            source=group.source,
            filename=group.filename,
            package=package,
            number=number,
            searchable_at_s=searchable_at_s,
        )
        for number, log in enumerate(group.logs)
    ]


def _milliseconds(moment: int) -> int:
    """Tell seconds, milliseconds and microseconds since 1970 apart by their size."""
    if moment < 10**11:
        return moment * 1000
    return moment if moment < 10**14 else moment // 1000


def _terms(query: str) -> list[tuple[str | None, str]]:
    if len(query.encode()) > _MAX_QUERY:
        raise ApiError("InvalidParameterValue", "`QueryString` has at most 12 KB.")
    terms: list[tuple[str | None, str]] = []
    rest = query.strip()
    while rest and rest != "*":
        match = _TERM.match(rest)
        if match is None or match["word"] in _OPERATORS:
            raise ApiError("FailedOperation.SyntaxError", f"The lab does not understand the query at `{rest}`.")
        if match["word"] != "AND":
            terms.append((match["key"], match["word"] if match["quoted"] is None else match["quoted"]))
        rest = rest[match.end() :].lstrip()
    return terms


def _holds(line: LogLine, terms: list[tuple[str | None, str]]) -> bool:
    return all(
        any(wanted in value for value in line.content.values()) if key is None else line.content.get(key) == wanted
        for key, wanted in terms
    )


def _descending(body: dict[str, Any]) -> bool:
    order = body.get("Sort", "desc")
    if order not in ("asc", "desc"):
        raise ApiError("InvalidParameterValue", "`Sort` is asc or desc.")
    return bool(order == "desc")


def _window(body: dict[str, Any]) -> tuple[int, int]:
    context, limit = body.get("Context", ""), body.get("Limit", 100)
    if not 1 <= limit <= 1000:
        raise ApiError("InvalidParameterValue", "`Limit` is from 1 to 1000.")
    if context and "Offset" in body:
        raise ApiError("InvalidParameter", "`Context` and `Offset` cannot be given together.")
    if context and not context.isdigit():
        raise ApiError("FailedOperation.InvalidContext", "The `Context` is not one that a search returned.")
    return (int(context) if context else body.get("Offset", 0)), limit


def _view(line: LogLine, topic: Topic) -> dict[str, Any]:
    return {
        "Time": line.time_ms,
        "TopicId": topic.topic_id,
        "TopicName": topic.name,
        "Source": line.source,
        "FileName": line.filename,
        "PkgId": line.package,
        "PkgLogId": str(line.number),
        "HighLights": None,
        "LogJson": json.dumps(line.content, ensure_ascii=False),
        "HostName": "",
        "RawLog": "",
        "IndexStatus": "",
        "TimeNanos": line.time_ms * 1_000_000,
    }
