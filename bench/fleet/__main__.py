"""``make fleet``: runs of 10, 100 and 1,000 instances through workers of the real function (build/fleet.json)."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.fleet.behaviour import Kind
from bench.fleet.stage import RETRY_AFTER_S, Fleet, fleet
from quiesce import naming
from quiesce.certificate import TAG_LEVEL
from quiesce.worker import HOLDS_PER_CALL
from quiesce_lab import deployment
from quiesce_lab.machine import default_state_dir
from quiesce_lab.trial import report_of

CALLS_PER_S = 20
BOUND = 1.15
LIMIT_S = 300.0


def main() -> int:
    """Measure, and write the results; 0 when every target was met."""
    parser = argparse.ArgumentParser(prog="bench.fleet", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("build/fleet.json"))
    given = parser.parse_args()
    results: dict[str, Any] = {"kernel": platform.release(), "seed": given.seed, "retry_after_s": RETRY_AFTER_S}
    for size in given.sizes:
        results[str(size)] = run(size, given.seed)
        print(f"{size}: {json.dumps({k: v for k, v in results[str(size)].items() if k != 'accounts'})}", flush=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"Everything in figures: {given.output}")
    return 0 if all(results[str(size)]["met"] for size in given.sizes) else 1


def run(size: int, seed: int) -> dict[str, Any]:
    """Fire one timer over an estate of this size, and account for every instance by name."""
    state_dir = default_state_dir().with_name("quiesce-fleet")
    with fleet(state_dir, size, share_twice=0.05, share_killed=0.05, seed=seed) as here:
        began_s = time.monotonic()
        report = report_of(here.function.invoke(deployment.timer_event()).value)
        dispatched_s = time.monotonic() - began_s
        finished = here.queue.wait(LIMIT_S)
        figures = _figures(here, report, began_s)
        here.daemons.terminate()
        return {"dispatched_s": round(dispatched_s, 2), "finished": finished, **figures}


def _figures(here: Fleet, report: Any, began_s: float) -> dict[str, Any]:
    deliveries = here.queue.deliveries
    lines = [line for one in deliveries for line in one.invoked.steps] if deliveries else []
    accounts = _accounts(here, report, lines)
    killed = {d.event["number"] for d in deliveries if d.killed}
    unharmed = [d for d in deliveries if d.event["number"] not in killed and d.invoked.status == 200]
    calls = here.site.cloud.record.of("CreateSnapshot")
    made = Counter(snapshot.disk_id for snapshot in here.site.cloud.world.estate().snapshots.values())
    refused = [call for call in calls if (call.error_code or "").startswith("RequestLimitExceeded")]
    wanted = sum(1 for one in here.instances if one.kind in (Kind.WELL, Kind.SLOW))
    done_s: dict[int, float] = {}
    for one in unharmed:  # a second delivery that comes behind the first finds everything there, and takes its time
        done_s.setdefault(one.event["number"], one.began_s + one.invoked.duration_s - began_s)
    wall_s = max(done_s.values(), default=time.monotonic() - began_s)
    bound_s = len(here.instances) / CALLS_PER_S
    duplicates = sum(count - 1 for count in made.values())
    unaccounted = [name for name, account in accounts.items() if account == "unaccounted"]
    application = sum(account == "application" for account in accounts.values())
    # What a killed worker had under way was cut, and is not known to be more than that: so many are not application.
    return {
        "instances": len(here.instances),
        "kinds": dict(Counter(one.kind.value for one in here.instances)),
        "bound_s": bound_s,
        "wall_s": round(wall_s, 2),
        "wall_ratio": round(wall_s / bound_s, 3),
        "wall_with_what_killed_workers_left_s": round(time.monotonic() - began_s, 2),
        "workers": len({d.event["number"] for d in deliveries}),
        "processes": len(deliveries),
        "delivered_twice": sum(d.copy for d in deliveries),
        "killed": len(killed),
        "creates": len(calls),
        "throttled_in_a_hold": len(refused),
        "duplicates": duplicates,
        "application": application,
        "accounts": dict(Counter(accounts.values())),
        "unaccounted": unaccounted,
        "throttled_outside": _throttled_outside(here),
        "met": not refused
        and not duplicates
        and not unaccounted
        and application >= wanted - HOLDS_PER_CALL * len(killed)
        and (len(here.instances) < 1000 or wall_s <= BOUND * bound_s),
    }


def _accounts(here: Fleet, report: Any, lines: list[dict[str, Any]]) -> dict[str, str]:
    """What became of each instance, by the names and tags of its snapshots first, then by what was logged of it."""
    run_id = report["run_id"]
    level_of: dict[str, str] = {}
    for snapshot in here.site.cloud.world.estate().snapshots.values():
        name = naming.parse(snapshot.name)
        if name and name.run_id == run_id and not snapshot.name.endswith(naming.PENDING):
            level_of[snapshot.disk_id] = snapshot.tags.get(TAG_LEVEL, "untagged")
    logged = {line["instance_id"]: line for line in lines if line.get("step") == "target" and "level" in line}
    reported = {target["instance_id"]: target["status"] for target in report["targets"]}
    return {
        one.instance_id: level_of.get(one.disk_id) or _reason(logged.get(one.instance_id), reported.get(one.instance_id))
        for one in here.instances
    }


def _reason(line: dict[str, Any] | None, status: str | None) -> str:
    if line is not None and line["reason"]:
        code = str(line["reason"]).split(":")[0]
        return f"none: {code}"
    return f"none: {status}" if status in ("failed", "weaker", "reached") else "unaccounted"


def _throttled_outside(here: Fleet) -> dict[str, int]:
    refused = (c.action for c in here.site.cloud.record.calls if (c.error_code or "").startswith("RequestLimitExceeded"))
    return dict(Counter(action for action in refused if action != "CreateSnapshot"))


if __name__ == "__main__":
    raise SystemExit(main())
