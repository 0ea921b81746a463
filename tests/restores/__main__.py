"""``make restores``: 50 snapshots of each layout, every one restored, compared and checked (build/restores.json)."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from quiesce_lab import needs
from quiesce_lab.layouts import LAYOUTS, whose_servers_are_here
from quiesce_lab.machine import default_state_dir
from quiesce_lab.stage import stage
from quiesce_lab.trial import Trial, by_function, run_trial

RATE = 400.0
"""Rows a second over all writers of an application."""
WAL_PAGE = 8192
COMPARED = ("gtid", "wal_lsn", "timeline")
"""Keys of a position that a restored server reports in the same words."""


@dataclass
class Totals:
    """What all restores of one layout together showed. Counts of rows are over every restore."""

    restores: int = 0
    application: int = 0
    lost: int = 0
    from_after_the_hold: int = 0
    gaps: int = 0
    damaged: int = 0
    not_started: int = 0
    acknowledged: int = 0
    positions_compared: int = 0
    positions_equal: int = 0
    hold_ms: list[float] = field(default_factory=list)
    modes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        """Count one restore."""
        verdict, said = trial.verdict, trial.taken.said
        self.restores += 1
        self.application += said["level"] == "application"
        self.hold_ms.append(said["hold_ms"])
        for name, mode in said["modes"].items():
            word = f"{name}: {mode}"
            self.modes[word] = self.modes.get(word, 0) + 1
        for count in ("lost", "from_after_the_hold", "gaps", "acknowledged"):
            setattr(self, count, getattr(self, count) + getattr(verdict, count))
        self.damaged += bool(verdict.damage)
        self.not_started += not verdict.starts
        if said["level"] != "application" or not verdict.consistent:
            self.problems.append(
                f"{said['level']} {said['reasons']}: {verdict.examples} {verdict.damage} {verdict.error_log}"
            )
        for name, one in trial.verdicts.items():
            self._compare(said["positions"].get(name, {}), one.position)

    def _compare(self, certified: Mapping[str, str], restored: Mapping[str, str]) -> None:
        pairs = [(certified[key], restored.get(key)) for key in COMPARED if key in certified]
        if pairs:
            self.positions_compared += 1
            unequal = [pair for pair in pairs if pair[0] != pair[1] and not _is_behind_a_page_header(*pair)]
            self.positions_equal += not unequal
            if unequal:
                self.problems.append(f"certified and restored differ: {unequal}")

    @property
    def kept(self) -> bool:
        """Whether every restore had everything, and nothing else, and stood where the certificate says."""
        broken = self.lost or self.from_after_the_hold or self.gaps or self.damaged or self.not_started
        return not broken and self.positions_equal == self.positions_compared and self.application == self.restores


def _is_behind_a_page_header(certified: str, restored: str | None) -> bool:
    """Whether two WAL positions are one: the end of a page, and the first byte behind the next one's header.

    Headers have 24 bytes, the first of a segment 40 (PostgreSQL: access/xlog_internal.h).
    """
    if restored is None or certified.count("/") != 1:
        return False
    one, other = ((int(high, 16) << 32) + int(low, 16) for high, low in (certified.split("/"), restored.split("/")))
    return one % WAL_PAGE == 0 and other - one in (24, 40)


def restore_all(layout: str, times: int, address: str) -> Totals:
    """Take and restore snapshots of one layout, in a lab of its own. Raises LabError."""
    totals = Totals()
    state_dir = default_state_dir().with_name(f"{default_state_dir().name}-restores-{layout}")
    with stage(state_dir, layout=LAYOUTS[layout], address=address) as here:
        for application in here.host.applications:
            application.load.start(RATE)
            application.relax()
        for _ in range(times):
            totals.add(run_trial(here.host, by_function(here.fire)))
    return totals


def restore_one_layout(layout: str, times: int, address: str, output: Path) -> int:
    """Do one layout and write what it showed."""
    totals = restore_all(layout, times, address)
    hold_ms = {"median": statistics.median(totals.hold_ms), "max": max(totals.hold_ms)}
    shown = {**asdict(totals), "hold_ms": hold_ms}
    output.write_text(json.dumps(shown))
    print(f"{layout}: {json.dumps(shown)}", flush=True)
    return 0 if totals.kept else 1


def restore_every_layout(layouts: Sequence[str], times: int, workers: int, output: Path) -> int:
    """Do each layout in a process of its own, some at the same time; 0 when every promise was kept."""
    parts = {layout: output.with_name(f"restores-{layout}.json") for layout in layouts}

    def run(layout: str) -> int:
        address = f"127.77.2.{1 + sorted(LAYOUTS).index(layout)}"
        given = ["--part", address, "--layout", layout, "--times", str(times), "--output", str(parts[layout])]
        return subprocess.run([sys.executable, "-m", "tests.restores", *given], check=False).returncode

    with ThreadPoolExecutor(workers) as pool:
        statuses = list(pool.map(run, layouts))
    results = {layout: json.loads(part.read_text()) for layout, part in parts.items() if part.exists()}
    output.write_text(json.dumps(results, indent=2) + "\n")
    for part in parts.values():
        part.unlink(missing_ok=True)
    return 0 if not any(statuses) else 1


def main() -> int:
    """Restore as often as asked; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="tests.restores", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="restores of each layout (default: %(default)s)")
    parser.add_argument("--layout", action="append", choices=sorted(LAYOUTS), help="may be repeated (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="labs at the same time (default: %(default)s)")
    parser.add_argument("--part", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("build/restores.json"))
    given = parser.parse_args()
    look = needs.look()
    if not look.met:
        print(f"the restores need: {look.reason}", file=sys.stderr)
        return 1
    given.output.parent.mkdir(parents=True, exist_ok=True)
    layouts = given.layout or whose_servers_are_here()
    if given.part:
        return restore_one_layout(layouts[0], given.times, given.part, given.output)
    return restore_every_layout(layouts, given.times, given.workers, given.output)


if __name__ == "__main__":
    raise SystemExit(main())
