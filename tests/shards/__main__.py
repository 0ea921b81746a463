"""``make shards``: 30 restores of a group of three databases, and 10 of the same without the group (build/shards.json).

Without it means: a run for each, one behind the other. One run of all three without a group is measured too; it holds
them at about the same time, and nothing sees to it that it does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quiesce_lab.machine import default_state_dir
from tests.shards.estate import SHARDS, Estate, estate


def main() -> int:
    """Measure and write the results; 0 when the group was exact every time and the rest was not."""
    parser = argparse.ArgumentParser(prog="tests.shards", description=__doc__)
    parser.add_argument("--restores", type=int, default=30)
    parser.add_argument("--alone", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("build/shards.json"))
    given = parser.parse_args()
    with estate(default_state_dir().with_name("quiesce-shards")) as here:
        results = {
            "together": _restore(here, lambda: here.fire("together"), given.restores),
            "one_by_one": _restore(here, here.fire_one_by_one, given.alone),
            "at_once_without_a_group": _restore(here, lambda: here.fire("at-once"), given.alone),
        }
        results["transfers"] = {"done": here.bank.done}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(results, indent=2) + "\n")
    shown = {name: {key: value for key, value in one.items() if key != "sums"} for name, one in results.items()}
    sys.stdout.write(json.dumps(shown) + "\n")
    together, apart = results["together"], results["one_by_one"]
    return 0 if together["exact"] == together["application"] == given.restores and apart["exact"] < given.alone else 1


def _restore(here: Estate, fire: Callable[[], Mapping[str, Any]], times: int) -> dict[str, Any]:
    levels, sums, skews_ms = [], [], []
    for _ in range(times):
        report = fire()
        certificates = [target["certificate"] for target in report["targets"]]
        parts = [certificate["together"] for certificate in certificates if certificate["together"]]
        levels.append(parts[0]["level"] if parts else min(certificate["level"] for certificate in certificates))
        skews_ms += [round(part["skew_s"] * 1000, 1) for part in parts[:1]]
        sums.append(here.restore(report))
    return {
        "restores": times,
        "application": levels.count("application"),
        "exact": sum(one.is_exact(len(SHARDS)) for one in sums),
        "median_skew_ms": statistics.median(skews_ms) if skews_ms else None,
        "sums": [[one.total, one.credits_without_debit] for one in sums],
    }


if __name__ == "__main__":
    raise SystemExit(main())
