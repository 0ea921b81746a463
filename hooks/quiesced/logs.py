"""Log lines: flat JSON on standard error, written by a thread of their own and never while something is held.

A line goes into a bounded queue; when the queue is full it is dropped and counted. So no thread that holds or lets go
ever waits for a log, even when the log lies on a filesystem that is frozen.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import threading
from datetime import datetime, timezone
from typing import Callable, Optional, TextIO

MAX_LINES = 1000
_POLL_S = 0.05
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One flat JSON object per record: time, level, logger, message, whatever ``extra`` carries, and the error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _PLAIN)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class LogThread:
    """Writes what is logged, unless ``quiet`` says that something is held."""

    def __init__(self, stream: TextIO, quiet: Callable[[], bool], *, max_lines: int = MAX_LINES) -> None:
        self._stream = stream
        self._quiet = quiet
        self._lines: queue.Queue[Optional[str]] = queue.Queue(max_lines)
        self._stopping = threading.Event()
        self.handler = _LineQueue(self._lines)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what is queued and end; give up after ``timeout_s`` when the log cannot be written."""
        self._stopping.set()
        try:
            self._lines.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        line = self._lines.get()
        while line is not None:
            self._wait_until_nothing_is_held()
            self._write(line)
            line = self._lines.get()

    def _wait_until_nothing_is_held(self) -> None:
        while self._quiet() and not self._stopping.wait(_POLL_S):
            continue

    def _write(self, line: str) -> None:
        dropped = self.handler.take_dropped()
        try:
            if dropped:
                self._stream.write(json.dumps({"level": "warning", "message": f"{dropped} log lines dropped"}) + "\n")
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # a log that is gone (closed pipe, full disk) is no reason to end the daemon


class _LineQueue(logging.handlers.QueueHandler):
    """Formats in the thread that logs, where the error still is, and never waits."""

    def __init__(self, lines: queue.Queue[Optional[str]]) -> None:
        super().__init__(lines)
        self.setFormatter(JsonFormatter())
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, record: object) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped


def set_up(thread: LogThread) -> None:
    """Send every log line of this process to the thread, from level INFO."""
    root = logging.getLogger()
    root.handlers[:] = [thread.handler]
    root.setLevel(logging.INFO)
