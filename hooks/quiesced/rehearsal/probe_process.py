"""The probe's process: writes a byte and fsyncs it in a loop on each filesystem, in a file without a name.

A process of its own, because a write to a frozen filesystem cannot be interrupted. The files have no name (O_TMPFILE,
open(2)), so nothing is left however this ends. Standard library only.

    started as  main([mount points])
    says        ``<number> <began> <ended>`` per write, on CLOCK_MONOTONIC, or ``<number> failed <words>``
    ends        at the end of its input
"""

from __future__ import annotations

import os
import sys
import threading
import time

PAUSE_S = 0.002
"""Between two writes, so that the probe measures a disk and does not load it."""


class _Prober:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()

    def run(self, mount_points: list[str]) -> None:
        for number, mount_point in enumerate(mount_points):
            threading.Thread(target=self._probe, args=(number, mount_point), daemon=True).start()
        sys.stdin.read()
        self._over.set()

    def _probe(self, number: int, mount_point: str) -> None:
        try:
            fd = os.open(mount_point, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            while not self._over.wait(PAUSE_S):
                began_s = time.monotonic()
                os.pwrite(fd, b"x", 0)
                os.fsync(fd)
                self._say(f"{number} {began_s:.6f} {time.monotonic():.6f}")
        except OSError as error:
            self._say(f"{number} failed {error.strerror}")

    def _say(self, line: str) -> None:
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def main(mount_points: list[str]) -> None:
    """Probe until the input ends."""
    _Prober().run(mount_points)
    os._exit(0)  # at once: a thread may be in a write that waits
