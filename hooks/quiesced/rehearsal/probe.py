"""A writer on each filesystem, watched from here: how long did each of its writes wait?"""

from __future__ import annotations

import statistics
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Callable, Optional

from quiesced.rehearsal.processes import start

LEAVING_LIMIT_S = 2.0
USUAL_WRITES = 20
"""So many writes before a hold say what is usual."""
START_LIMIT_S = 10.0
_SILENT = f"no write came through within {START_LIMIT_S:g} s, as on a filesystem that is frozen"


class Probe:
    """Writes while the block lasts. Times are readings of CLOCK_MONOTONIC, which all processes share."""

    def __init__(self, mount_points: Sequence[str]) -> None:
        self._names = tuple(mount_points)
        self._writes: list[list[tuple[float, float]]] = [[] for _ in mount_points]
        self._failures: dict[int, str] = {}
        self._changed = threading.Condition()

    def __enter__(self) -> Probe:
        self._process = start("quiesced.rehearsal.probe_process", [*self._names], drivers=False)
        self._reader = threading.Thread(target=self._read, name="probe", daemon=True)
        self._reader.start()
        self._wait(lambda number: len(self._writes[number]) >= USUAL_WRITES, START_LIMIT_S)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        self._process.input.close()
        try:
            self._process.popen.wait(LEAVING_LIMIT_S)
        except subprocess.TimeoutExpired:  # a write of it waits in the kernel, and then not even a kill is waited for
            self._process.popen.kill()
            return
        self._reader.join(LEAVING_LIMIT_S)
        self._process.output.close()

    @property
    def failures(self) -> dict[str, str]:
        """Why a filesystem could not be written, by mount point."""
        with self._changed:
            silent = {name: _SILENT for name, writes in zip(self._names, self._writes) if not writes}
            return {**silent, **{self._names[number]: words for number, words in self._failures.items()}}

    def usual_s(self, mount_point: str) -> float:
        """Return the median of the first writes; 0 when there were none."""
        with self._changed:
            first = self._writes[self._names.index(mount_point)][:USUAL_WRITES]
        return statistics.median(ended_s - began_s for began_s, ended_s in first) if first else 0.0

    def longest_s(self, mount_point: str, since_s: float) -> float:
        """Return how long the longest write took of those that ended after this moment."""
        with self._changed:
            writes = self._writes[self._names.index(mount_point)]
            return max((ended_s - began_s for began_s, ended_s in writes if ended_s > since_s), default=0.0)

    def wait_for_writes(self, after_s: float, limit_s: float) -> dict[str, Optional[float]]:
        """Wait for a write to end on each filesystem after this moment; return when each did, None where none did."""
        self._wait(lambda number: self._first_after(number, after_s) is not None, limit_s)
        with self._changed:
            return {name: self._first_after(number, after_s) for number, name in enumerate(self._names)}

    def _first_after(self, number: int, after_s: float) -> Optional[float]:
        return next((ended_s for _, ended_s in self._writes[number] if ended_s > after_s), None)

    def _wait(self, is_done: Callable[[int], bool], limit_s: float) -> None:
        def all_done() -> bool:
            return all(number in self._failures or is_done(number) for number in range(len(self._names)))

        with self._changed:
            self._changed.wait_for(all_done, limit_s)

    def _read(self) -> None:
        for line in self._process.output:
            number, word, rest = line.split(" ", 2)
            with self._changed:
                if word == "failed":
                    self._failures[int(number)] = rest.strip()
                else:
                    self._writes[int(number)].append((float(word), float(rest)))
                self._changed.notify_all()
