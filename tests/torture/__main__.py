"""``make torture``: snapshots under random faults and durability, each `application` restored (build/torture.json)."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from quiesce_lab import needs
from quiesce_lab.machine import default_state_dir
from quiesce_lab.verifier import Verdict

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("src", "hooks", "lab")]

from tests.faults.case import Result, Told, meet  # noqa: E402 - the programs' folders come first
from tests.faults.expected import why_not_application  # noqa: E402
from tests.faults.matrix import chosen, insist_on_the_recorded_run  # noqa: E402
from tests.faults.outside import State, state_of  # noqa: E402
from tests.faults.rig import Rig, rig  # noqa: E402
from tests.faults.table import Case, Kind  # noqa: E402

ANOTHER_LAB_AFTER = 18
"""Repetitions in one lab: each restore attaches a disk, and an instance of the cloud takes 20 of them."""
WARM_UP = 150
"""Acknowledged writes before each repetition, so that there is something to lose."""


@dataclass
class Totals:
    """What all repetitions together showed. Counts of rows are over every restore."""

    seed: int
    times: int = 0
    application: int = 0
    restored: int = 0
    lost: int = 0
    from_after_the_hold: int = 0
    gaps: int = 0
    acknowledged: int = 0
    levels: dict[str, int] = field(default_factory=dict)
    durability: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, durability: int, told: list[Told]) -> None:
        """Count one repetition; ``told`` are its deliveries."""
        self.times += 1
        level = told[0].level or "nothing"
        self.application += any(one.level == "application" for one in told)
        self.levels[level] = self.levels.get(level, 0) + 1
        self.durability[str(durability)] = self.durability.get(str(durability), 0) + 1

    def join(self, other: dict[str, Any]) -> None:
        """Add what a worker wrote."""
        for name in ("times", "application", "restored", "lost", "from_after_the_hold", "gaps", "acknowledged"):
            setattr(self, name, getattr(self, name) + other[name])
        for own, more in ((self.levels, other["levels"]), (self.durability, other["durability"])):
            for key, count in more.items():
                own[key] = own.get(key, 0) + count
        self.failures += other["failures"]

    def judge(self, name: str, verdict: Verdict) -> None:
        """Count one restore."""
        self.restored += 1
        self.lost += verdict.lost
        self.from_after_the_hold += verdict.from_after_the_hold
        self.gaps += verdict.gaps
        self.acknowledged += verdict.acknowledged
        if not verdict.consistent:
            self.failures.append({"case": name, "what": f"the restore is not consistent: {verdict}"})


def torture(times: int, seed: int, output: Path) -> None:
    """Repeat in labs of this process's own, and write the totals after each repetition. Raises LabError."""
    totals, dice = Totals(seed), random.Random(seed)
    state_dir = default_state_dir().with_name(f"{default_state_dir().name}-torture-{seed}")
    while totals.times < times:
        with rig(state_dir, f"127.77.1.{1 + seed % 250}") as made:
            made.stage.host.set_durability(2)
            insist_on_the_recorded_run(made)
            before = state_of(made.stage.host)
            for _ in range(min(ANOTHER_LAB_AFTER, times - totals.times)):
                _repeat(made, before, dice, totals)
                output.write_text(json.dumps(asdict(totals)))


def torture_all(times: int, seed: int, workers: int, output: Path) -> int:
    """Share the repetitions out; returns 0 when nothing was lost, every promise was kept and half were `application`."""
    shares = [times // workers + (number < times % workers) for number in range(workers)]
    parts = {seed + number: output.with_name(f"torture-{seed + number}.json") for number in range(workers)}
    processes = [
        subprocess.Popen(_command(share, own, part)) for share, (own, part) in zip(shares, parts.items(), strict=True)
    ]
    statuses = [process.wait() for process in processes]
    totals = Totals(seed)
    for part in parts.values():
        totals.join(json.loads(part.read_text()))
        part.unlink()
    output.write_text(json.dumps(asdict(totals), indent=2) + "\n")
    print(json.dumps({key: value for key, value in asdict(totals).items() if key != "failures"}))
    kept = not totals.failures and not any(statuses) and totals.times == times
    return 0 if kept and totals.application * 2 >= times else 1


def _command(times: int, seed: int, part: Path) -> list[str]:
    """Command of one worker."""
    given = ["--part", "--times", str(times), "--seed", str(seed), "--output", str(part)]
    return [sys.executable, "-m", "tests.torture", *given]


def _repeat(made: Rig, before: State, dice: random.Random, totals: Totals) -> None:
    """One repetition: a fault or none, and every set that is called `application` restored and compared."""
    case, durability = _drawn(dice), dice.choice((0, 1, 2))
    name = f"{totals.times} {case or 'no fault'}, innodb_flush_log_at_trx_commit = {durability}"
    load = made.stage.host.load
    made.stage.host.set_durability(durability)
    load.wait_until_acked(load.acked() + WARM_UP)
    result = meet(made, case, before, durability=durability) if case else None
    told = result.told if result else [Told.by(made.function().invoke(made.stage.event()))]
    totals.add(durability, told)
    totals.failures += _broken(name, result, told)
    for snapshots in _called_application(told):
        totals.judge(name, made.stage.host.verify(snapshots))
    made.forget_snapshots()
    print(
        f"{name}: {' > '.join(one.level or 'nothing' for one in told)}; failures so far: {len(totals.failures)}", flush=True
    )


def _drawn(dice: random.Random) -> Case | None:
    """Draw a fault: one that may be harmless, or any, or none, so that most runs have something to restore."""
    every = [
        case
        for case in chosen("")
        if case.kind not in (Kind.VANISHED, Kind.STUCK_AT)  # they leave nothing to restore
        and not case.step.grouped  # the labs here have one disk
    ]
    harmless = [case for case in every if not why_not_application(case)]
    return dice.choices((None, dice.choice(harmless), dice.choice(every)), weights=(2, 5, 3))[0]


def _broken(name: str, result: Result | None, told: list[Told]) -> list[dict[str, str]]:
    if result is not None:
        return [{"case": name, "what": f"{promise}: {how}"} for promise, how in result.problems]
    if told[0].level != "application":
        return [{"case": name, "what": f"without a fault: {told[0].level or told[0].how}: {told[0].reasons}"}]
    return []


def _called_application(told: list[Told]) -> list[Mapping[str, str]]:
    """Every set that a delivery called `application`, once."""
    sets: list[Mapping[str, str]] = []
    for one in told:
        if one.target is not None and one.level == "application" and one.target["certificate"]["snapshots"] not in sets:
            sets.append(one.target["certificate"]["snapshots"])
    return sets


def main() -> int:
    """Repeat as often as asked."""
    parser = argparse.ArgumentParser(prog="tests.torture", description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="repetitions (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and the durability (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="labs at the same time (default: %(default)s)")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("build/torture.json"))
    given = parser.parse_args()
    look = needs.look()
    if not look.met:
        print(f"the torture needs: {look.reason}", file=sys.stderr)
        return 1
    given.output.parent.mkdir(parents=True, exist_ok=True)
    if not given.part:
        return torture_all(given.times, given.seed, given.workers, given.output)
    torture(given.times, given.seed, given.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
