"""Writers that pile up behind a lock: counted while it is waited for and while it is held, on a session of its own.

A lock that is waited for stalls writers as much as one that is held, and clients that wait keep their connections: a
server that runs out of them refuses everybody. So a hold ends when too many wait, not only when its time is over.
"""

from __future__ import annotations

import re
import threading
import time
from typing import Callable, Optional

from quiesced.quiescers.base import HeldBy, Watched
from quiesced.quiescers.mysql.session import LOST, Options, Session

LOOK_EVERY_S = 0.025
STOP_LIMIT_S = 0.1
"""How long the last look may keep a release; then it is cut off."""
PAUSE_SHARE = 4
"""A look at thousands of sessions takes milliseconds of the server; the pause is this many times as long."""
_WAITING = re.compile(r"Waiting for ((backup|global read|commit) lock|table flush)", re.I)
_WAITING_FOR_DISK = re.compile(r"Waiting for (backup lock|handler commit)", re.I)
"""Of MySQL behind a freeze: DDL waits for the lock, and who commits for the disk (manual, General Thread States)."""
_NOT_CLIENTS = ("system user", "event_scheduler")


class PileUp:
    """Counts waiting sessions from ``start`` until ``stop``. Makes a connection at once; raises what LOST names."""

    def __init__(
        self, options: Options, held_by: HeldBy = HeldBy.LOCK, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = Session(options)
        self._waiting = _WAITING if held_by is HeldBy.LOCK else _WAITING_FOR_DISK
        self._monotonic = monotonic
        self._most_stalled = options.max_stalled_writers
        self._most_used = options.max_connections_used
        self._connections = 0
        self._own_ids: frozenset[int] = frozenset()
        self._over = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._peak = 0
        self._writer_s = 0.0
        self._samples = 0
        self._too_many = ""

    @property
    def session_id(self) -> int:
        """Id of the session that looks."""
        return self._session.id

    def already(self, own_ids: tuple[int, ...]) -> str:
        """Say why a hold must not even begin; empty when it may. Raises what LOST names."""
        self._own_ids = frozenset((self.session_id, *own_ids))
        self._connections = int(self._session.value("SELECT @@GLOBAL.max_connections"))
        sessions, _ = self._look()
        return self._too_full(sessions)

    def start(self) -> None:
        """Look from now on, in a thread. Call ``already`` first."""
        self._thread = threading.Thread(target=self._watch, name="pile-up", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more and close the session. Any number of times."""
        self._over.set()
        if self._thread and self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)
            if self._thread.is_alive():
                self._session.abort()
                self._thread.join()
        self._session.close()

    @property
    def too_many(self) -> str:
        """Say why the hold has to end now; empty while it may go on."""
        return self._too_many

    def watched(self) -> Watched:
        """Return what was counted so far."""
        return Watched(self._peak, self._writer_s, self._samples, self._too_many)

    def _watch(self) -> None:
        """Count until told to stop, or until it can no longer be done: a hold that nobody watches has to end, too."""
        last_s, pause_s = self._monotonic(), LOOK_EVERY_S
        while not self._over.wait(pause_s):
            began_s = self._monotonic()
            try:
                sessions, waiting = self._look()
            except LOST as error:
                if not self._over.is_set():
                    self._too_many = self._too_many or f"the writers that wait can no longer be counted: {error}"
                return
            now_s = self._monotonic()
            pause_s = max(LOOK_EVERY_S, PAUSE_SHARE * (now_s - began_s))
            self._samples += 1
            self._peak = max(self._peak, waiting)
            self._writer_s += waiting * (now_s - last_s)
            last_s = now_s
            self._too_many = self._too_many or self._too_stalled(waiting) or (self._too_full(sessions) if waiting else "")

    def _look(self) -> tuple[int, int]:
        """Count sessions and those that wait. Raises what LOST names.

        Not from information_schema: its answer passes through a temporary table, which hangs on a frozen tmpdir.
        """
        rows = [row for row in self._session.rows("SHOW PROCESSLIST") if int(row[0]) not in self._own_ids]
        clients = [str(row[6] or "") for row in rows if row[1] not in _NOT_CLIENTS]
        return len(clients), sum(1 for state in clients if self._waiting.match(state))

    def _too_stalled(self, waiting: int) -> str:
        if self._most_stalled is None or waiting <= self._most_stalled:
            return ""
        return f"{waiting} writers waited behind the lock, more than max_stalled_writers ({self._most_stalled})"

    def _too_full(self, sessions: int) -> str:
        """A server at this share of its connections refuses clients soon, and waiting ones give none back."""
        if sessions <= self._most_used * self._connections:
            return ""
        return (
            f"{sessions} of {self._connections} connections are in use, more than the share that a hold may begin or go on "
            f"with (max_connections_used, {self._most_used:g})"
        )
