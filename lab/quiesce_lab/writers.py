"""What both load processes share: writer threads, the ledger, and an end that loses no line of it.

A process stops when its standard input ends, which happens at the latest when the lab dies, or on SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from quiesce_lab.ledger import LedgerWriter, Write, payload

LEAVING_LIMIT_S = 5.0
"""How long a writer may wait for its last acknowledgement; on a frozen disk there is none."""
_RETRY_S = 0.02


class Sink(Protocol):
    """Where one writer's rows go. It is used by one thread."""

    def last_seq(self, writer: int) -> int:
        """Return the highest sequence number that a writer has on the disk, 0 when none."""

    def insert(self, writer: int, seq: int, content: bytes) -> None:
        """Write one row and return when it is acknowledged. Raises one of ``errors`` when it was not."""

    def close(self) -> None:
        """Close the session."""


Open = Callable[[], Sink]


class Writers:
    """A number of threads that write rows one after the other, each in a session of its own."""

    def __init__(
        self, open_sink: Open, errors: tuple[type[Exception], ...], ledger: LedgerWriter, *, count: int, rate: float
    ) -> None:
        """``rate`` is in rows a second over all writers; 0 means as fast as they are acknowledged."""
        self._open = open_sink
        self._errors = errors
        self._ledger = ledger
        self._pause_s = count / rate if rate else 0.0
        self._stopping = threading.Event()
        self._under_way: dict[int, Write] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"writer-{number}", daemon=True)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start every writer."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every writer; what is still under way goes to the ledger as not acknowledged."""
        self._stopping.set()
        give_up_at = time.monotonic() + LEAVING_LIMIT_S
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        for write in tuple(self._under_way.values()):
            self._ledger.add(write)

    def _work(self, writer: int) -> None:
        seq = 0
        while not self._stopping.is_set():
            try:
                sink = self._open()
            except self._errors:
                self._stopping.wait(_RETRY_S)
                continue
            try:
                seq = self._write_until_refused(sink, writer, seq)
            finally:
                sink.close()

    def _write_until_refused(self, sink: Sink, writer: int, seq: int) -> int:
        """Write rows until one is refused or it is time to stop; return the last sequence number used."""
        try:
            seq = max(seq, sink.last_seq(writer))
        except self._errors:
            return seq
        due = time.monotonic()
        while not self._stopping.is_set():
            seq += 1
            if not self._write(sink, writer, seq):
                return seq
            due = max(due + self._pause_s, time.monotonic())
            if self._pause_s:
                self._stopping.wait(due - time.monotonic())
        return seq

    def _write(self, sink: Sink, writer: int, seq: int) -> bool:
        content = payload(writer, seq)
        write = Write(writer, seq, time.monotonic(), None)
        self._under_way[writer] = write
        try:
            sink.insert(writer, seq, content)
        except self._errors:
            self._ledger.add(write)
            return False
        else:
            self._ledger.add(Write(writer, seq, write.sent_at, time.monotonic()))
            return True
        finally:
            self._under_way.pop(writer)


def command_line(prog: str) -> argparse.ArgumentParser:
    """Make the parser of an engine's writers: ``TARGET LEDGER --writers N --rate R``."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("target", type=Path, help="a server's socket, or a database file")
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--writers", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="rows a second over all writers; 0: no limit")
    return parser


def serve(open_sink: Open, errors: tuple[type[Exception], ...], ledger: Path, *, count: int, rate: float) -> None:
    """Write until told to stop. Ends the process: threads that wait for a frozen disk cannot be joined."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    book = LedgerWriter(ledger)
    writers = Writers(open_sink, errors, book, count=count, rate=rate)
    writers.start()
    stop.wait()
    writers.stop()
    book.close()
    os._exit(0)


def _stop_at_end_of_input(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
