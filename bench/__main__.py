"""``make bench``: how long writers wait for a snapshot, by Quiesce and by two other procedures, in the same run."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.engines import CASES, Case, measure_case
from bench.stalls import Sample, measure_stall, summary
from quiesce_lab import rivals
from quiesce_lab.machine import default_state_dir
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import Take, by_function, by_rival

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
    parser.add_argument("--only", default="", metavar="TEXT", help="of the engines, only cases with this in their name")
    given = parser.parse_args()
    state_dir = default_state_dir()
    results: dict[str, Any] = {
        "create_snapshot_latency_s": LATENCY_S,
        "rows_per_s": RATE,
        "runs": given.runs,
        "kernel": platform.release(),
        "images_in_memory": state_dir.is_relative_to("/dev/shm"),
        "stall": {f"{disks}_disks": _measure(state_dir, disks, given.runs) for disks in DISKS if not given.engines},
        "by_engine": {},
    }
    _write(given.output, results)
    for case in (case for case in CASES if given.only in case.name):
        results["by_engine"][case.name] = _by_engine(state_dir, case, given.runs)
        _write(given.output, results)  # one that ends the bench leaves the figures of those before it
    print(f"Everything in figures: {given.output}")
    return 0


def _write(output: Path, results: Mapping[str, Any]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


def _measure(state_dir: Path, disks: int, runs: int) -> dict[str, Any]:
    """Measure all procedures in turns, so that whatever else the machine does meets each of them."""
    print(f"{disks} disk{'s' if disks > 1 else ''}, {runs} runs of each procedure", flush=True)
    with stage(state_dir, disks=disks) as here:
        here.site.cloud.settings.latency_s["CreateSnapshot"] = LATENCY_S
        here.host.load.start(RATE)
        samples: dict[str, list[Sample]] = {name: [] for name in _ways(here)}
        levels = []
        for _ in range(runs):
            for name, take in _ways(here).items():
                taken, sample = measure_stall(here, RATE, take)
                samples[name].append(sample)
                levels += [taken.said["level"]] if taken.said else []
        by_way = {name: summary(taken) for name, taken in samples.items()}
    for name, figures in by_way.items():
        print(f"  {name:20} median {figures['median_ratio']:.2f}  p95 {figures['p95_ratio']:.2f} x the call", flush=True)
    return {**by_way, "levels": {level: levels.count(level) for level in sorted(set(levels))}}


def _by_engine(state_dir: Path, case: Case, runs: int) -> dict[str, Any]:
    measured = measure_case(state_dir, case, runs, RATE, LATENCY_S)
    figures = f"median {measured['median_ratio']:.2f}  p95 {measured['p95_ratio']:.2f} x the call"
    print(f"  {case.name:52} {figures}  {measured['levels']}", flush=True)
    return measured


def _ways(here: Stage) -> Mapping[str, Take]:
    return {
        "quiesce": by_function(here.fire),
        "documented_by_hand": by_rival(here.host, rivals.documented_by_hand),
        "common_script": by_rival(here.host, rivals.common_script),
    }


if __name__ == "__main__":
    raise SystemExit(main())
