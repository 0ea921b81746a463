"""``make bench``: how long writers wait for a snapshot, by Quiesce and by two other procedures, in the same run."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.engines import CASES, Case, measure_case
from quiesce_lab import rivals
from quiesce_lab.machine import default_state_dir
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import Take, by_function, by_rival, measure

RUNS = 30
LATENCY_S = 0.3
RATE = 1000.0
"""Rows a second over all writers: a steady load that the disk keeps up with."""
DISKS = (1, 4)


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each procedure (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--engines", action="store_true", help="only Quiesce by engine, not the other procedures")
    given = parser.parse_args()
    state_dir = default_state_dir()
    results = {
        "create_snapshot_latency_s": LATENCY_S,
        "rows_per_s": RATE,
        "runs": given.runs,
        "kernel": platform.release(),
        "images_in_memory": state_dir.is_relative_to("/dev/shm"),
        "stall": {f"{disks}_disks": _measure(state_dir, disks, given.runs) for disks in DISKS if not given.engines},
        "by_engine": {case.name: _by_engine(state_dir, case, given.runs) for case in CASES},
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"Everything in figures: {given.output}")
    return 0


def _measure(state_dir: Path, disks: int, runs: int) -> dict[str, Any]:
    """Measure all procedures in turns, so that whatever else the machine does meets each of them."""
    print(f"{disks} disk{'s' if disks > 1 else ''}, {runs} runs of each procedure", flush=True)
    with stage(state_dir, disks=disks) as here:
        here.site.cloud.settings.latency_s["CreateSnapshot"] = LATENCY_S
        here.host.load.start(RATE)
        gaps: dict[str, list[float]] = {name: [] for name in _ways(here)}
        levels = []
        for _ in range(runs):
            for name, take in _ways(here).items():
                taken, gap_s = measure(here.host, take)
                gaps[name].append(gap_s)
                levels += [taken.said["level"]] if taken.said else []
        summary = {name: _summary(gap_s) for name, gap_s in gaps.items()}
    for name, figures in summary.items():
        print(f"  {name:20} median {figures['median_ratio']:.2f}  p95 {figures['p95_ratio']:.2f} x latency", flush=True)
    return {**summary, "levels": {level: levels.count(level) for level in sorted(set(levels))}}


def _by_engine(state_dir: Path, case: Case, runs: int) -> dict[str, Any]:
    measured = measure_case(state_dir, case, runs, RATE, LATENCY_S, _summary)
    figures = f"median {measured['median_ratio']:.2f}  p95 {measured['p95_ratio']:.2f} x latency"
    print(f"  {case.name:52} {figures}  {measured['levels']}", flush=True)
    return measured


def _ways(here: Stage) -> Mapping[str, Take]:
    return {
        "quiesce": by_function(here.fire),
        "documented_by_hand": by_rival(here.host, rivals.documented_by_hand),
        "common_script": by_rival(here.host, rivals.common_script),
    }


def _summary(gaps_s: list[float]) -> dict[str, Any]:
    """Longest wait of a writer, per run; ratios are to the latency of CreateSnapshot."""
    ordered = sorted(gaps_s)
    p95_s = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    median_s = statistics.median(ordered)
    return {
        "median_ratio": round(median_s / LATENCY_S, 3),
        "p95_ratio": round(p95_s / LATENCY_S, 3),
        "median_ms": round(median_s * 1000, 1),
        "p95_ms": round(p95_s * 1000, 1),
        "max_ms": round(ordered[-1] * 1000, 1),
        "all_ms": [round(gap_s * 1000, 1) for gap_s in gaps_s],
    }


if __name__ == "__main__":
    raise SystemExit(main())
