"""``make guardian``: how soon writers go on when the daemon is killed, hangs at its limit, or is never told to release."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.guardian.bed import DISKS, Bed, bed
from bench.guardian.watch import Outside
from quiesce_lab.errors import LabError
from quiesce_lab.machine import default_state_dir
from quiesce_lab.processes import python_env

ROOT = Path(__file__).parent.parent.parent
KILLS, EXPIRIES = 500, 50
NICE = -15
"""As hooks/quiesced.service starts the daemon; the observer has it too, so that its own waiting is not measured."""
LONG_S = 30.0
"""A limit that no kill waits for."""
MOMENTS_S = (0.0, 0.3)
"""When after the start of the hold a kill comes."""
LIMITS_S = (0.3, 0.5)
"""Limits of the holds that expire."""
TARGET_P99_MS = 20.0
TARGET_LATE_MS = 50.0
Delays = list[tuple[float, float]]
"""Per hold: how long until the last filesystem was thawed, and until the database was unlocked, in seconds."""


class Holder:
    """The daemon's process."""

    def __init__(self, here: Bed) -> None:
        argv = [here.state_dir, here.by_id_dir, here.database.socket, *DISKS]
        with (here.log_dir / "holder.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-B", "-m", "bench.guardian.holder", *map(str, argv)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=python_env(ROOT, ROOT / "hooks"),
            )

    def hold(self, limit_s: float) -> float:
        """Hold; return when the limit is over, on CLOCK_MONOTONIC. Raises LabError with the reason for a refusal."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"hold {limit_s}\n".encode())
        self.process.stdin.flush()
        word, _, rest = self.process.stdout.readline().decode().strip().partition(" ")
        if word != "held":
            raise LabError(f"the daemon does not hold: {rest or 'it ended'}")
        return float(rest)

    def end(self) -> None:
        """Kill it, if it still runs, and forget it."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def holder(here: Bed) -> Iterator[Holder]:
    """Run a daemon that is killed in the end."""
    made = Holder(here)
    try:
        yield made
    finally:
        made.end()


def kill(here: Bed, outside: Outside, moment: random.Random) -> tuple[float, float]:
    """Kill a daemon at some moment of a hold."""
    with holder(here) as daemon:
        daemon.hold(LONG_S)
        outside.ask()
        time.sleep(moment.uniform(*MOMENTS_S))
        if not outside.is_held:
            raise LabError("something got through while everything was held")
        killed_s = time.monotonic()
        daemon.process.send_signal(signal.SIGKILL)
        return outside.thawed_s() - killed_s, outside.unlocked_s() - killed_s


def expire(daemon: Holder, outside: Outside, moment: random.Random, *, hung: bool) -> tuple[float, float]:
    """Let a hold pass its limit, with the daemon stopped or well."""
    ends_s = daemon.hold(moment.uniform(*LIMITS_S))
    if hung:
        daemon.process.send_signal(signal.SIGSTOP)
    outside.ask()
    try:
        return outside.thawed_s() - ends_s, outside.unlocked_s() - ends_s
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def measure(here: Bed, kills: int, expiries: int, moment: random.Random) -> dict[str, Any]:
    """Do all of it and return the figures."""
    outside = Outside(here)
    killed = repeat("kill -9", kills, lambda: kill(here, outside, moment))
    with holder(here) as daemon:
        hung = repeat("expiry, daemon hung", expiries, lambda: expire(daemon, outside, moment, hung=True))
    with holder(here) as daemon:
        healthy = repeat("expiry, daemon well", expiries, lambda: expire(daemon, outside, moment, hung=False))
    return {
        "kill": both(killed),
        "expiry_with_the_daemon_hung": both(hung),
        "expiry_with_the_daemon_well": both(healthy),
        "targets": {
            "kill_thaw_p99_ms": TARGET_P99_MS,
            "hung_late_ms": TARGET_LATE_MS,
            "well_late_ms": 0.0,
            "met": {
                "kill": figures([thaw for thaw, _ in killed])["p99_ms"] <= TARGET_P99_MS,
                "hung": max(late for pair in hung for late in pair) * 1000 <= TARGET_LATE_MS,
                "well": max(late for pair in healthy for late in pair) <= 0,
            },
        },
    }


def repeat(what: str, times: int, once: Callable[[], tuple[float, float]]) -> Delays:
    """Measure many times, and say how it goes."""
    started_s = time.monotonic()
    delays = [once() for _ in range(times)]
    thaw = figures([delay_s for delay_s, _ in delays])
    unlock = figures([delay_s for _, delay_s in delays])
    took_s = time.monotonic() - started_s
    print(f"{what}: {times} times in {took_s:.0f} s; thaw {thaw}, unlock {unlock}", flush=True)
    return delays


def both(delays: Delays) -> dict[str, dict[str, float]]:
    """Figures of the thaws and of the unlocks."""
    return {"thaw": figures([thaw for thaw, _ in delays]), "unlock": figures([unlock for _, unlock in delays])}


def figures(delays_s: Sequence[float]) -> dict[str, float]:
    """Nearest-rank percentiles in ms; negative: before the limit."""
    ordered = sorted(delays_s)
    ranks = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    found = {name: round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)] * 1000, 2) for name, share in ranks.items()}
    return {"n": len(ordered), **found}


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(prog="bench.guardian", description=__doc__)
    parser.add_argument("--times", type=int, default=KILLS, help="kills of the daemon (default: %(default)s)")
    parser.add_argument("--expiries", type=int, default=EXPIRIES, help="expiries of either kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("build/guardian.json"))
    given = parser.parse_args()
    state_dir = default_state_dir().with_name(f"quiesce-guardian-{os.getuid()}")
    with bed(state_dir) as here:
        os.nice(NICE)  # after the database was started, and before any daemon is
        results = measure(here, given.times, given.expiries, random.Random(given.seed))
    results |= {"kernel": platform.release(), "filesystems": sorted(DISKS.values()), "seed": given.seed, "nice": NICE}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"Everything in figures: {given.output}")
    return 0 if all(results["targets"]["met"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
