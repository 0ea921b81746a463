"""One trial: take a set of snapshots in some way while writers write, restore it, and have it judged."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quiesce_lab import verifier
from quiesce_lab.errors import LabError
from quiesce_lab.host import Host
from quiesce_lab.rivals import Rival
from quiesce_lab.verifier import Verdict

WARM_UP = 800
"""Acknowledged writes before each trial, so that there is something to lose."""
Take = Callable[[str], "Taken"]
"""Given a name for the trial, take the snapshots."""


@dataclass(frozen=True)
class Taken:
    """What a way of taking snapshots gave: snapshot ids by disk, and what it says of itself."""

    snapshots: Mapping[str, str]
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What was taken, and what the verifier found of each application."""

    taken: Taken
    verdicts: Mapping[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """All of it together."""
        return verifier.together(self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Everything, for machine-readable results."""
        said = dict(self.taken.said)
        counts = dataclasses.asdict(self.verdict)
        each = {name: dataclasses.asdict(verdict) for name, verdict in self.verdicts.items()}
        by_application = {"applications": each} if len(each) > 1 else {}
        return {**said, **counts, **by_application, "snapshot_ids": sorted(self.taken.snapshots.values())}


def by_rival(host: Host, rival: Rival) -> Take:
    """Take a set by another procedure."""

    def take(name: str) -> Taken:
        ids = rival(host.site.console, host.held_by_hand, host.disk_ids, name)
        return Taken(dict(zip(host.disk_ids, ids, strict=True)))

    return take


def by_function(fire: Callable[[], Mapping[str, Any]]) -> Take:
    """Take a set by firing the function; its report has one target."""

    def take(_name: str) -> Taken:
        report = fire()
        target = report["targets"][0]
        certificate = target["certificate"]
        if certificate is None:
            raise LabError(f"the function refused the target: {target['refusal']}")
        if not certificate["snapshots"]:
            raise LabError(f"the function took no snapshot: {certificate['reasons']}")
        held_s = certificate["held_s"]
        witness = certificate["witness_began"] or {"applications": []}
        positions = [position.get("gtid", "") for position in certificate["positions"].values()]
        said = {
            "level": certificate["level"],
            "reasons": list(certificate["reasons"]),
            "hold_ms": None if held_s is None else round(held_s * 1000, 1),
            "gtid": positions[0] if positions else "",
            "positions": certificate["positions"],
            "modes": {seen["name"]: seen["mode"] for seen in witness["applications"]},
            "freeze": witness.get("freeze", "none"),
        }
        return Taken(certificate["snapshots"], said)

    return take


_numbers = itertools.count(1)


def run_trial(host: Host, take: Take) -> Trial:
    """Let the writers write, take the set, let them write on, and judge what a restore of it has."""
    taken, _ = measure(host, take)
    return Trial(taken, host.verify_each(taken.snapshots))


def run_until_broken(host: Host, take: Take, attempts: int) -> tuple[Trial, int]:
    """Repeat a trial until a restore is not intact, at most ``attempts`` times; returns the last and its number.

    InnoDB flushes its log once a second by itself, and a cut that happens to fall right behind that loses nothing.
    """
    for attempt in range(1, attempts):
        trial = run_trial(host, take)
        if not trial.verdict.intact:
            return trial, attempt
    return run_trial(host, take), attempts


def measure(host: Host, take: Take) -> tuple[Taken, float]:
    """Take a set and return it with the longest time that any one writer went without a commit around it, in seconds."""
    _wait_for_more(host, WARM_UP)
    since = time.monotonic()
    taken = take(f"lab-trial-{next(_numbers)}")
    until = time.monotonic()
    _wait_for_more(host, 8 * 4)
    return taken, max(load.longest_gap_s(since, until) for load in host.loads)


def _wait_for_more(host: Host, count: int) -> None:
    """Wait until every application's writers have had that many more writes acknowledged."""
    wanted = [(load, load.acked() + count) for load in host.loads]
    for load, acked in wanted:
        load.wait_until_acked(acked)


def report_of(result: object) -> Mapping[str, Any]:
    """Read the function's return value: a timer's report as it is, an HTTP answer's body."""
    if isinstance(result, dict) and "statusCode" in result:
        return dict(json.loads(str(result["body"])))
    if isinstance(result, dict) and "targets" in result:
        return result
    raise LabError(f"the function returned no report: {result!r}")
