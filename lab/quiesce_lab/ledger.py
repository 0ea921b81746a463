"""The ledger: every write that a client sent, kept on the host and not on the disk that is snapshotted.

One line a write: writer, seq, sent_at, acked_at (empty when it was never acknowledged). Times are seconds of
CLOCK_MONOTONIC, which every process of a machine shares. ``sent_at`` is read before the write is sent and ``acked_at``
after the acknowledgement has arrived, so the write really happened between the two.
"""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PAYLOAD_BYTES = 200


@dataclass(frozen=True)
class Write:
    """One write. ``acked_at`` is None when no acknowledgement came: it may be on the disk or not."""

    writer: int
    seq: int
    sent_at: float
    acked_at: float | None

    @property
    def key(self) -> tuple[int, int]:
        """What names the row."""
        return self.writer, self.seq


def payload(writer: int, seq: int) -> bytes:
    """Content of a row: recomputed when it is read, so that damage shows."""
    return hashlib.shake_128(f"{writer}:{seq}".encode()).digest(PAYLOAD_BYTES)


class LedgerWriter:
    """Appends to a ledger from many threads; a thread of its own does the writing, so that none of them waits for it."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._file = path.open("a", encoding="ascii")
        self._thread = threading.Thread(target=self._drain, name="ledger", daemon=True)
        self._thread.start()

    def add(self, write: Write) -> None:
        """Hand over one write."""
        self._queue.put(write)

    def close(self) -> None:
        """Write what was handed over and close the file."""
        self._queue.put(None)
        self._thread.join()
        self._file.close()

    def _drain(self) -> None:
        while (write := self._queue.get()) is not None:
            self._file.write(_line(write))
            if self._queue.empty():
                self._file.flush()


class LedgerReader:
    """Follows a ledger while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._acked = 0
        self._writes: list[Write] = []

    @property
    def writes(self) -> tuple[Write, ...]:
        """Every complete line so far, in the order of the ledger."""
        self._read_on()
        return tuple(self._writes)

    @property
    def acked(self) -> int:
        """How many writes have been acknowledged so far."""
        self._read_on()
        return self._acked

    def _read_on(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            complete, end, _ = file.read().rpartition(b"\n")
        fresh = [_write(line) for line in complete.decode("ascii").splitlines()]
        self._writes.extend(fresh)
        self._acked += sum(write.acked_at is not None for write in fresh)
        self._offset += len(complete) + len(end)


def longest_gap_s(writes: Iterable[Write], since: float, until: float) -> float:
    """Return the longest time that any one writer went without an acknowledged commit, in seconds.

    Counted are gaps that reach into the window from ``since`` to ``until``, at their full length. The time after a
    writer's last commit counts up to ``until``.
    """
    acked: dict[int, list[float]] = {}
    for write in writes:
        if write.acked_at is not None:
            acked.setdefault(write.writer, []).append(write.acked_at)
    gaps = (gap for times in acked.values() for gap in _gaps(sorted(times), since, until))
    return max(gaps, default=until - since)


def _gaps(times: list[float], since: float, until: float) -> Iterator[float]:
    for earlier, later in itertools.pairwise(times):
        if later > since and earlier < until:
            yield later - earlier
    if times[-1] < until:
        yield until - max(times[-1], since)


def _line(write: Write) -> str:
    acked_at = "" if write.acked_at is None else f"{write.acked_at:.9f}"
    return f"{write.writer},{write.seq},{write.sent_at:.9f},{acked_at}\n"


def _write(line: str) -> Write:
    writer, seq, sent_at, acked_at = line.split(",")
    return Write(int(writer), int(seq), float(sent_at), float(acked_at) if acked_at else None)
