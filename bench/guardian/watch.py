"""Seen from outside: when the filesystems take a write again, and when the database takes a commit again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.guardian.bed import Bed

LIMIT_S = 30.0
"""Far beyond anything that is promised: whoever still waits then is stuck."""


class Waiting:
    """One thing that a hold keeps waiting, done by a thread of its own again and again."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        self._name = name
        self._do = do
        self._asked = threading.Semaphore(0)
        self._done = threading.Event()
        self._done_s = 0.0
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self) -> None:
        """Start it; it gets through when it is let."""
        self._done.clear()
        self._asked.release()

    @property
    def is_through(self) -> bool:
        """Whether it got through; then nothing held it."""
        return self._done.is_set()

    def through_s(self) -> float:
        """Wait until it got through and return when, on CLOCK_MONOTONIC. Raises TimeoutError when it is stuck."""
        if not self._done.wait(LIMIT_S):
            raise TimeoutError(f"{self._name} still waits after {LIMIT_S:g} s: something was not let go")
        return self._done_s

    def _work(self) -> None:
        while True:
            self._asked.acquire()
            self._do()
            self._done_s = time.monotonic()
            self._done.set()


class Outside:
    """A writer per filesystem and one client of the database."""

    def __init__(self, bed: Bed) -> None:
        self._session = bed.connect()
        self._writers = [Waiting(f"a write below {point}", _writes(point)) for point in bed.mount_points]
        self._client = Waiting("an insert", self._insert)

    def ask(self) -> None:
        """Have every one of them try."""
        for waiting in (*self._writers, self._client):
            waiting.ask()

    @property
    def is_held(self) -> bool:
        """Whether none of them got through yet."""
        return not any(waiting.is_through for waiting in (*self._writers, self._client))

    def thawed_s(self) -> float:
        """When the last filesystem took its write."""
        return max(writer.through_s() for writer in self._writers)

    def unlocked_s(self) -> float:
        """When the database took the commit."""
        return self._client.through_s()

    def _insert(self) -> None:
        with self._session.cursor() as cursor:
            cursor.execute("INSERT INTO shop.orders (item) VALUES ('book')")


def _writes(point: Path) -> Callable[[], None]:
    def write() -> None:
        """A change of a directory: it waits for the thaw, and for no disk after that."""
        os.close(os.open(point / "written", os.O_CREAT | os.O_WRONLY | os.O_TRUNC))
        (point / "written").unlink()

    return write
