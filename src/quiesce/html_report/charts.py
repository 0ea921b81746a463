"""Where everything lies in the drawings: shares of a width in percent, and paths made of numbers alone.

No text from outside gets in here, and no markup comes out: the template writes the elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quiesce.html_report.model import Period, Stalls, Timeline

NOBODY, WRITERS, BEYOND = "nobody", "writers", "beyond"
"""Who waits in a piece of a bar: nobody, writers, or writers for longer than the budget allows."""
BEFORE_KINDS = ("prepare", "preflush", "arm", "turn")
MAX_ROWS = 16
"""Bars of one group in a timeline; calls of many disks beyond this are drawn as one."""
WIDTH, HEIGHT = 1000, 100
"""Units of the history's drawing, which is stretched to the place it has."""
LEAST_MS = 0.1
"""Shorter holds are drawn as this."""
TOO_NEAR = 22.0
"""Percent of the height that two numbers beside the scale need."""


@dataclass(frozen=True)
class Piece:
    """A part of a bar, in percent of the width."""

    x: float
    width: float
    who: str


@dataclass(frozen=True)
class Row:
    """One bar with what it stands for; ``count`` calls where several are drawn as one."""

    kind: str
    subject: str
    count: int
    ms: float
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Group:
    """Bars on one scale, which is ``length_ms`` long; ``edge``: where the budget ends on it, in percent."""

    rows: tuple[Row, ...]
    length_ms: float
    edge: float | None


@dataclass(frozen=True)
class Gauge:
    """A hold against its budget, on one scale. ``share``: percent of the budget that was used."""

    pieces: tuple[Piece, ...]
    edge: float
    share: float


@dataclass(frozen=True)
class Mark:
    """A duration beside the scale, so many percent from its top; ``budget``: the stall budget's."""

    y: float
    ms: float
    budget: bool


@dataclass(frozen=True)
class Drawing:
    """A history: paths in a box of WIDTH by HEIGHT, and where the budget lies in it, in percent from the top."""

    p50: str
    p95: str
    most: str
    beyond: str
    edge: float | None
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class _Bar:
    kind: str
    subject: str
    count: int
    begins_ms: float
    ends_ms: float


def gauge(timeline: Timeline) -> Gauge | None:
    """Draw a hold against its budget; None when either is not known."""
    held_ms, limit_ms = timeline.held_ms, timeline.hold_limit_ms
    if held_ms is None or not limit_ms:
        return None
    full_ms = max(held_ms, limit_ms)
    pieces = [Piece(0.0, _percent(min(held_ms, limit_ms), full_ms), WRITERS)]
    if held_ms > limit_ms:
        pieces.append(Piece(pieces[0].width, _percent(held_ms - limit_ms, full_ms), BEYOND))
    return Gauge(tuple(pieces), _percent(limit_ms, full_ms), 100 * held_ms / limit_ms)


def before(timeline: Timeline) -> Group | None:
    """Draw what came before anybody waited."""
    bars = [_Bar(s.kind, s.subject, 1, s.begins_ms, s.ends_ms) for s in timeline.spans if s.kind in BEFORE_KINDS]
    return _group(bars, timeline) if bars else None


def during(timeline: Timeline) -> Group | None:
    """Draw the hold, with everything that happened between its first lock and the answer to the release."""
    spans = [span for span in timeline.spans if span.kind not in BEFORE_KINDS]
    bars = [_Bar(span.kind, span.subject, 1, span.begins_ms, span.ends_ms) for span in spans]
    if len(bars) > MAX_ROWS:
        bars = _merged(bars)
    if timeline.hold_ms and timeline.held_ms is not None:
        begins_ms = timeline.hold_ms[0]
        bars.insert(0, _Bar("held", "", 1, begins_ms, begins_ms + timeline.held_ms))
    return _group(bars, timeline) if bars else None


def history(stalls: Stalls) -> Drawing:
    """Draw the periods from left to right, each in the place of its day.

    The scale is logarithmic and reaches to the budget at least: a hold of a tenth of it and one that is beyond it are
    both to be seen.
    """
    limit_ms, periods = stalls.hold_limit_ms, stalls.periods
    scale = _Scale.of(min(period.p50_ms for period in periods), max(stalls.max_ms, limit_ms or 0.0))
    places = _places(periods)
    tops = [(x, scale.y(period.max_ms)) for x, period in zip(places, periods, strict=True)]
    over = [limit_ms is not None and period.max_ms > limit_ms for period in periods]
    return Drawing(
        p50=_line(places, [scale.y(period.p50_ms) for period in periods]),
        p95=_line(places, [scale.y(period.p95_ms) for period in periods]),
        most=_dots(top for top, beyond in zip(tops, over, strict=True) if not beyond),
        beyond=_dots(top for top, beyond in zip(tops, over, strict=True) if beyond),
        edge=scale.y(limit_ms) if limit_ms else None,
        marks=scale.marks(limit_ms),
    )


@dataclass(frozen=True)
class _Scale:
    """A logarithmic scale from a power of ten up to a number that can be read."""

    low_ms: float
    top_ms: float

    @classmethod
    def of(cls, least_ms: float, most_ms: float) -> _Scale:
        least_ms, most_ms = max(least_ms, LEAST_MS), max(most_ms, 10 * LEAST_MS)
        return cls(10.0 ** math.floor(math.log10(least_ms)), _nice(most_ms))

    def y(self, ms: float) -> float:
        """Percent from the top."""
        share = math.log(max(ms, self.low_ms) / self.low_ms) / math.log(self.top_ms / self.low_ms)
        return round(HEIGHT * (1 - share), 1)

    def marks(self, limit_ms: float | None) -> tuple[Mark, ...]:
        """Its ends, and the budget in the place of an end that is too near to it."""
        ends = [Mark(0.0, self.top_ms, False), Mark(100.0, self.low_ms, False)]
        if not limit_ms:
            return tuple(ends)
        budget = Mark(self.y(limit_ms), limit_ms, True)
        return (*(end for end in ends if abs(end.y - budget.y) > TOO_NEAR), budget)


def _group(bars: Sequence[_Bar], timeline: Timeline) -> Group:
    begins_ms, ends_ms = min(bar.begins_ms for bar in bars), max(bar.ends_ms for bar in bars)
    length_ms = max(ends_ms - begins_ms, 0.001)
    rows = tuple(
        Row(bar.kind, bar.subject, bar.count, bar.ends_ms - bar.begins_ms, _pieces(bar, timeline, begins_ms, length_ms))
        for bar in bars
    )
    edge_ms = timeline.beyond_ms
    within = edge_ms is not None and begins_ms < edge_ms <= ends_ms
    return Group(rows, length_ms, _percent(edge_ms - begins_ms, length_ms) if edge_ms and within else None)


def _pieces(bar: _Bar, timeline: Timeline, zero_ms: float, length_ms: float) -> tuple[Piece, ...]:
    """Cut a bar where the hold begins, where the budget is used up, and where the hold ends."""
    # A lock that was not had in time kept writers waiting all the same.
    begins_ms, ends_ms = timeline.hold_ms or ((-math.inf, math.inf) if bar.kind in _LOCKS else (math.inf, math.inf))
    edge_ms = timeline.beyond_ms if timeline.beyond_ms is not None else math.inf
    inner = sorted({ms for ms in (begins_ms, edge_ms, ends_ms) if bar.begins_ms < ms < bar.ends_ms})
    pieces = []
    for start_ms, end_ms in zip((bar.begins_ms, *inner), (*inner, bar.ends_ms), strict=True):
        middle_ms = (start_ms + end_ms) / 2
        who = NOBODY if not begins_ms <= middle_ms <= ends_ms else BEYOND if middle_ms > edge_ms else WRITERS
        pieces.append(Piece(_percent(start_ms - zero_ms, length_ms), _percent(end_ms - start_ms, length_ms), who))
    return tuple(pieces)


_LOCKS = ("lock", "freeze", "witness")


def _merged(bars: Sequence[_Bar]) -> list[_Bar]:
    """Draw the calls of all disks as one bar, from the first that was sent to the last that was answered."""
    calls = [bar for bar in bars if bar.kind == "create"]
    if not calls:
        return list(bars)
    one = _Bar("create", "", len(calls), min(bar.begins_ms for bar in calls), max(bar.ends_ms for bar in calls))
    others = [bar for bar in bars if bar.kind != "create"]
    place = bars.index(calls[0])
    return [*others[:place], one, *others[place:]]


def _places(periods: Sequence[Period]) -> list[float]:
    """Where each period lies: by its day, so that one without holds leaves a gap between dots."""
    first, last = periods[0].begins.toordinal(), periods[-1].begins.toordinal()
    length = max(last - first, 1)
    if len(periods) == 1:
        return [WIDTH / 2]
    return [round(15 + (WIDTH - 30) * (period.begins.toordinal() - first) / length) for period in periods]


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A path; of one point alone a stroke that can be seen."""
    if len(xs) == 1:
        return f"M{xs[0] - 15:g} {ys[0]:g}h30"
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True))


def _dots(places: Iterable[tuple[float, float]]) -> str:
    """Strokes of no length, which round ends make into dots that keep their shape however the drawing is stretched."""
    return "".join(f"M{x:g} {y:g}h0" for x, y in places)


def _nice(ms: float) -> float:
    """The next of 1, 2, 5 times a power of ten, so that a scale ends in a number that can be read."""
    power = 10.0 ** math.floor(math.log10(ms))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= ms)


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2)
