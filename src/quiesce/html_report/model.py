"""What the report shows, typed and free of any markup. The same values are written by ``--format json``."""

from __future__ import annotations

from datetime import date, datetime

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything in the report."""


class Disk(Part, frozen=True, kw_only=True):
    """One attached disk: how it stands, and for each level when its newest point of at least that level was made."""

    finding: str
    instance_id: str
    disk_id: str
    policies: tuple[str, ...]
    objective_hours: float | None
    age_hours: float | None
    newest: dict[str, datetime]


class Span(Part, frozen=True, kw_only=True):
    """Something that took time in a run, in milliseconds since the target's first fact. ``kind``: see timeline.KINDS."""

    kind: str
    begins_ms: float
    ends_ms: float
    subject: str = ""
    """Which one, where there are several: a disk."""


class Timeline(Part, frozen=True, kw_only=True):
    """One target of one run, and what waited for what in it.

    ``hold_ms``: when the hold began and ended on the function's clock, None when there was none or nothing is known of it.
    ``held_ms`` is the instance's own count. ``hold_limit_ms`` is the policy's as it is today.
    """

    at: datetime | None
    run_id: str
    policy: str
    instance_id: str
    status: str
    level: str
    level_asked: str
    held_ms: float | None
    hold_limit_ms: float | None
    hold_ms: tuple[float, float] | None
    spans: tuple[Span, ...]

    @property
    def beyond_ms(self) -> float | None:
        """When the budget was used up, on the function's clock; None when it never was."""
        if not (self.hold_ms and self.held_ms and self.hold_limit_ms) or self.held_ms <= self.hold_limit_ms:
            return None
        return self.hold_ms[0] + self.hold_limit_ms


class Period(Part, frozen=True, kw_only=True):
    """The holds of one day, or of the week that begins on that day (UTC)."""

    begins: date
    holds: int
    p50_ms: float
    p95_ms: float
    max_ms: float


class Application(Part, frozen=True, kw_only=True):
    """What the writers of one application had to wait, over all holds: the most at one look, and writers times seconds."""

    name: str
    peak_writers: int
    writer_s: float


class Stalls(Part, frozen=True, kw_only=True):
    """The holds of one instance by one policy. ``beyond``: how many were longer than the budget."""

    instance_id: str
    policy: str
    hold_limit_ms: float | None
    holds: int
    beyond: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    periods: tuple[Period, ...]
    applications: tuple[Application, ...]


class Trouble(Part, frozen=True, kw_only=True):
    """A failure, or a set that is weaker than asked for; ``times`` of the same kind, with the newest run's id."""

    newest: datetime | None
    oldest: datetime | None
    times: int
    run_id: str
    policy: str
    instance_id: str
    status: str
    level: str
    level_asked: str
    release_confirmed: bool
    reason: str


class Content(Part, frozen=True, kw_only=True):
    """The whole report. ``notes`` say in words what it does not hold."""

    made_at: datetime
    days: int
    days_per_period: int
    region: str
    disks: tuple[Disk, ...]
    timelines: tuple[Timeline, ...]
    stalls: tuple[Stalls, ...]
    troubles: tuple[Trouble, ...]
    records: int
    notes: tuple[str, ...]
