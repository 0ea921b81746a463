"""Every phrase of the report that depends on a value: kinds of steps, statuses, durations, times."""

from __future__ import annotations

from datetime import date, datetime, timezone

from quiesce.html_report.model import Trouble
from quiesce.words import _

SHORTENED = 600
"""Characters of a reason that are shown; the record has the whole of it."""


def step(kind: str) -> str:
    """Name a step of a run."""
    return {
        "prepare": _("prepare"),
        "preflush": _("pre-flush"),
        "arm": _("arm guardian"),
        "turn": _("wait for its turn"),
        "held": _("hold, in all"),
        "lock": _("lock"),
        "freeze": _("freeze"),
        "witness": _("witness"),
        "create": _("CreateSnapshot"),
        "create_group": _("CreateSnapshotGroup"),
        "until": _("hold until"),
        "thaw": _("thaw"),
        "unlock": _("unlock"),
    }.get(kind, kind)


def waits_for(kind: str) -> str:
    """Say who waits for what in a step."""
    return {
        "prepare": _("the function waits for the instance"),
        "preflush": _("the instance writes out what is dirty"),
        "arm": _("the guardian is made ready"),
        "turn": _("for the cloud's rate limit, or for the others of its group"),
        "held": _("writers wait, as the instance counted"),
        "lock": _("writers wait for the applications' locks"),
        "freeze": _("writers wait for the filesystems"),
        "witness": _("writers wait while the hold is looked at"),
        "create": _("writers wait for the cloud's answer"),
        "create_group": _("writers wait for the cloud's answer"),
        "until": _("writers wait for the moment the policy names"),
        "thaw": _("writers wait for the filesystems"),
        "unlock": _("writers wait for the applications"),
    }.get(kind, "")


def status(word: str) -> str:
    """Say how a target ended."""
    return {
        "reached": _("reached"),
        "weaker": _("weaker"),
        "skipped": _("skipped"),
        "failed": _("failed"),
    }.get(word, word)


def level(word: str) -> str:
    """Name a level."""
    names = {"none": _("none"), "unknown": _("unknown"), "crash": _("crash")}
    return {**names, "filesystem": _("filesystem"), "application": _("application")}.get(word, word)


def finding(word: str) -> str:
    """Say how a disk stands."""
    return {"covered": _("covered"), "late": _("late"), "uncovered": _("uncovered")}.get(word, word)


def reason(trouble: Trouble) -> str:
    """Say why, and say first what has to be looked at now."""
    text = trouble.reason or _("no reason was recorded")
    if not trouble.release_confirmed:
        text = _("the release could not be confirmed: look at the instance") + "; " + text
    return text if len(text) <= SHORTENED else text[:SHORTENED] + "…"


def name(text: str) -> str:
    """Show a name or an id, which is never long unless something is wrong with it."""
    return text if len(text) <= 80 else text[:80] + "…"


def duration(ms: float | None) -> str:
    """Write a duration so that two of them can be compared at a glance."""
    if ms is None:
        return "–"
    if ms < 10:
        return _("{value:.1f} ms", value=ms)
    if ms < 1_000:
        return _("{value:.0f} ms", value=ms)
    if ms < 60_000:
        return _("{value:.3g} s", value=ms / 1_000)
    return _("{value:.1f} min", value=ms / 60_000)


def hours(value: float | None) -> str:
    """Write an age."""
    if value is None:
        return "–"
    return _("{value:.1f} h", value=value) if value < 48 else _("{value:.1f} days", value=value / 24)


def moment(at: datetime | None) -> str:
    """Write a time, to the minute, in UTC."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M}" if at else _("time not known")


def day(at: date) -> str:
    """Write a day."""
    return f"{at:%Y-%m-%d}"
