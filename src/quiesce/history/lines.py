"""Lines of the log and run records, as they come back: from CLS every value is a text, on stdout it was what it is.

A run record is what ``recording.Recorder.upload`` wrote; the log's line ``target`` has the same fields but for the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

import msgspec

from quiesce import naming

_TIMER = "%Y%m%dt%H%M"
MAX_MS = 1e9
"""More than eleven days: nothing that a run does takes so long."""


@dataclass(frozen=True)
class Line:
    """One line. ``at``: when CLS says that it was written; None of a line that carries no time."""

    at: datetime | None
    fields: Mapping[str, object]


@dataclass(frozen=True)
class Wait:
    """What one application's writers had to wait in one hold."""

    name: str
    peak_writers: int
    writer_s: float


@dataclass(frozen=True)
class Record:
    """What one target of one run got. ``held_ms`` None: nothing was held, as far as is known."""

    at: datetime | None
    run_id: str
    policy: str
    instance_id: str
    status: str
    level: str
    level_asked: str
    held_ms: float | None
    release_confirmed: bool
    reason: str
    waits: tuple[Wait, ...]


class _Stall(msgspec.Struct, frozen=True):
    name: str
    peak_writers: int
    writer_s: float


class _Certificate(msgspec.Struct, frozen=True):
    issued_at: str = ""
    stalls: tuple[_Stall, ...] = ()


class _Target(msgspec.Struct, frozen=True):
    status: str
    certificate: _Certificate | None = None


class _Body(msgspec.Struct, frozen=True):
    targets: tuple[_Target, ...]


def line_of(text: str | bytes) -> Line:
    """Read a line of JSON: a log line, a run record, or a result of SearchLog. Raises ValueError for anything else."""
    fields = _object(text)
    inner = fields.get("LogJson")
    if isinstance(inner, str):
        return Line(_moment(fields.get("Time")), _unwrapped(_object(inner)))
    return Line(None, _unwrapped(fields))


def record_of(line: Line) -> Record | None:
    """Read a run record, or a target's line; None of any other line. Raises ValueError when a part of it is missing."""
    fields = line.fields
    if "record" not in fields and not (fields.get("step") == "target" and "level" in fields):
        return None
    run_id, instance_id, level = (text_of(fields, name) for name in ("run_id", "instance_id", "level"))
    if not (run_id and instance_id and level):
        raise ValueError("a record without its run, its instance or its level")
    target = _target(fields)
    certificate = target.certificate if target else None
    level_asked = text_of(fields, "level_asked")
    return Record(
        at=_iso(certificate.issued_at if certificate else "") or line.at or _of_run(run_id),
        run_id=run_id,
        policy=text_of(fields, "policy"),
        instance_id=instance_id,
        status=target.status if target else text_of(fields, "outcome"),
        level=level,
        level_asked=level_asked,
        held_ms=number_of(fields, "held_ms"),
        release_confirmed=text_of(fields, "release_confirmed") != "false",
        reason=text_of(fields, "reason"),
        waits=tuple(Wait(one.name, one.peak_writers, one.writer_s) for one in certificate.stalls) if certificate else (),
    )


def text_of(fields: Mapping[str, object], name: str) -> str:
    """Read a field as text, as CLS would have it; empty when there is none."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def number_of(fields: Mapping[str, object], name: str) -> float | None:
    """Read a field as a number that a duration in milliseconds can be: from 0 to MAX_MS; None of anything else."""
    try:
        value = float(text_of(fields, name))
    except ValueError:
        return None
    return value if 0 <= value <= MAX_MS else None


def _target(fields: Mapping[str, object]) -> _Target | None:
    """Read the body of a run record, of which each has one target."""
    if "record" not in fields:
        return None
    try:
        (target,) = msgspec.json.decode(text_of(fields, "record"), type=_Body).targets
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"a record whose body cannot be read: {error}") from None
    return target


def _object(text: str | bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _unwrapped(fields: dict[str, object]) -> dict[str, object]:
    """Take a line out of SCF's own, which holds it as text where it was not made into fields (SCF documentation, logs)."""
    message = fields.get("SCF_Message")
    if "step" in fields or not isinstance(message, str) or not message.startswith("{"):
        return fields
    try:
        return _object(message)
    except ValueError:
        return fields


def _moment(time_ms: object) -> datetime | None:
    if not isinstance(time_ms, int | float):
        return None
    try:
        return datetime.fromtimestamp(time_ms / 1000, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def _iso(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _of_run(run_id: str) -> datetime | None:
    """The time that a timer's run has in its id (request.run_id)."""
    if not naming.RUN_ID.fullmatch(run_id) or "-" not in run_id:
        return None
    try:
        return datetime.strptime(run_id.partition("-")[0], _TIMER).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
