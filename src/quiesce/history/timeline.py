"""What waited for what in one target of a run, from its log lines (steps.steps_of).

The function's clock says when each answer came, and the instance's own durations how long each of its steps took. The two
clocks are never compared: the steps of ``quiesce`` are laid so that they end when its answer came, those of ``release`` so
that they begin when it was asked for. So an edge inside an answer may be off by the network's time, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from quiesce.history.lines import Line, Record, number_of, text_of
from quiesce.html_report.model import Span, Timeline

LOCKING = ("lock", "freeze", "witness")
_HOOK_STEP = re.compile(r"([a-z_]{1,20})=(\d{1,9}(?:\.\d{1,3})?)")

Step = Mapping[str, object]


def timeline_of(record: Record, hold_limit_ms: float | None, lines: Iterable[Line]) -> Timeline:
    """Lay out one target; without lines, or with lines that say nothing of it, there are no spans."""
    steps = _one_delivery([line.fields for line in lines])
    return Timeline(
        at=record.at,
        run_id=record.run_id,
        policy=record.policy,
        instance_id=record.instance_id,
        status=record.status,
        level=record.level,
        level_asked=record.level_asked,
        held_ms=record.held_ms,
        hold_limit_ms=hold_limit_ms,
        hold_ms=_hold(steps),
        spans=(*_before(steps), *_locking(steps), *_calls(steps), *_waiting(steps), *_letting_go(steps)),
    )


def _one_delivery(steps: Sequence[Step]) -> list[Step]:
    """Take the lines of the delivery that held, or of the one that wrote most: SCF may deliver a run more than once."""
    timed = [step for step in steps if number_of(step, "since_start_ms") is not None]
    ordered = sorted(timed, key=lambda step: (text_of(step, "request_id"), _at(step)))
    deliveries = [list(group) for _, group in groupby(ordered, key=lambda step: text_of(step, "request_id"))]
    return max(deliveries, key=lambda delivery: (_hold(delivery) is not None, len(delivery)), default=[])


def _at(step: Step) -> float:
    return number_of(step, "since_start_ms") or 0.0


def _first(steps: Sequence[Step], name: str) -> Step | None:
    return next((step for step in steps if step.get("step") == name), None)


def _hook_steps(step: Step | None) -> list[tuple[str, float]]:
    return [(name, float(ms)) for name, ms in _HOOK_STEP.findall(text_of(step, "hook_steps"))] if step else []


def _hold(steps: Sequence[Step]) -> tuple[float, float] | None:
    """When the hold began and ended on the function's clock."""
    answered, released = _first(steps, "quiesce"), _first(steps, "release")
    if answered is None or text_of(answered, "outcome") != "held":
        return None
    begins_ms = _at(answered) - sum(ms for name, ms in _hook_steps(answered) if name in LOCKING)
    held_ms = number_of(released, "held_ms") if released else None
    if held_ms is None:
        return None
    let_go = _letting_go(steps)
    if let_go and text_of(released or {}, "outcome") == "released":
        return begins_ms, max(let_go[-1].ends_ms, begins_ms + held_ms)
    return begins_ms, begins_ms + held_ms


def _before(steps: Sequence[Step]) -> list[Span]:
    """Everything before anybody waits."""
    asked, prepared, held = (_first(steps, name) for name in ("quiesce_asked", "prepare", "quiesce"))
    if asked is None or prepared is None:
        return []
    spans = [Span(kind="prepare", begins_ms=_at(asked), ends_ms=_at(prepared))]
    own = _hook_steps(prepared)
    at_ms = _at(prepared) - sum(ms for _, ms in own)
    spans += _in_a_row(own, max(_at(asked), at_ms), ("preflush", "arm"))
    if held is not None:
        begins_ms = _at(held) - sum(ms for name, ms in _hook_steps(held) if name in LOCKING)
        if begins_ms > _at(prepared):
            spans.append(Span(kind="turn", begins_ms=_at(prepared), ends_ms=begins_ms))
    return spans


def _locking(steps: Sequence[Step]) -> list[Span]:
    held = _first(steps, "quiesce")
    own = [(name, ms) for name, ms in _hook_steps(held) if name in LOCKING]
    return _in_a_row(own, _at(held) - sum(ms for _, ms in own), LOCKING) if held else []


def _letting_go(steps: Sequence[Step]) -> list[Span]:
    asked, released = _first(steps, "release_asked"), _first(steps, "release")
    if asked is None or released is None or text_of(released, "outcome") != "released":
        return []
    return _in_a_row(_hook_steps(released), _at(asked), ("witness", "thaw", "unlock"))


def _in_a_row(steps: Sequence[tuple[str, float]], at_ms: float, wanted: Sequence[str]) -> list[Span]:
    spans = []
    for name, ms in steps:
        if name in wanted:
            spans.append(Span(kind=name, begins_ms=at_ms, ends_ms=at_ms + ms))
            at_ms += ms
    return spans


def _calls(steps: Sequence[Step]) -> list[Span]:
    """Each CreateSnapshot from its sending to its answer; a group's one call has the same sending for all."""
    spans = []
    answers = {text_of(step, "disk_id"): _at(step) for step in steps if step.get("step") == "create"}
    together = _first(steps, "create_group")
    for sent in (step for step in steps if step.get("step") == "create_sent"):
        disk_id = text_of(sent, "disk_id")
        ends_ms = answers.get(disk_id)
        if ends_ms is not None and ends_ms >= _at(sent):
            spans.append(Span(kind="create", begins_ms=_at(sent), ends_ms=ends_ms, subject=disk_id))
    first = _first(steps, "create_sent")
    if together is not None and first is not None:
        group = text_of(together, "group_id")
        spans.insert(0, Span(kind="create_group", begins_ms=_at(first), ends_ms=_at(together), subject=group))
    return spans


def _waiting(steps: Sequence[Step]) -> list[Span]:
    waited = _first(steps, "hold_until")
    accepted = [_at(step) for step in steps if step.get("step") in ("create", "create_group")]
    if waited is None or not accepted or _at(waited) < max(accepted):
        return []
    return [Span(kind="until", begins_ms=max(accepted), ends_ms=_at(waited), subject=text_of(waited, "moment"))]
