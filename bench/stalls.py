"""How long writers wait for a snapshot: of each run, the longest wait beside how long the cloud took for the call."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quiesce_lab.stage import Stage
from quiesce_lab.trial import Take, Taken, measure


@dataclass(frozen=True)
class Sample:
    """One run, in seconds. ``call_s`` is how long the cloud took to serve the slowest single CreateSnapshot."""

    stall_s: float
    call_s: float

    @property
    def ratio(self) -> float:
        """The stall as a multiple of the call, which nothing can be shorter than."""
        return self.stall_s / self.call_s


def measure_stall(here: Stage, rate: float, take: Take) -> tuple[Taken, Sample]:
    """Take a set, and return it with what it cost. ``rate``: rows a second over all writers. Raises LabError.

    The ledger shows the time between two commits of a writer. At a steady rate a writer that waits for nothing lets
    ``writers / rate`` seconds pass between two: that is its own time, and no wait.
    """
    here.site.cloud.record.clear()
    taken, gap_s = measure(here.host, take)
    served_s = [
        (call.answered_at or call.arrived_at) - call.arrived_at for call in here.site.cloud.record.of("CreateSnapshot")
    ]
    return taken, Sample(gap_s - here.host.load.writers / rate, max(served_s))


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Sum up the runs of one case."""
    ratios = sorted(sample.ratio for sample in samples)
    stalls_ms = [round(sample.stall_s * 1000, 1) for sample in samples]
    return {
        "median_ratio": round(statistics.median(ratios), 3),
        "p95_ratio": round(ratios[round(0.95 * (len(ratios) - 1))], 3),
        "median_ms": statistics.median(stalls_ms),
        "max_ms": max(stalls_ms),
        "median_call_ms": round(statistics.median(sample.call_s for sample in samples) * 1000, 1),
        "all_ms": stalls_ms,
    }
