"""What happens once a hold has let go: its end is noted, and its place is freed when the kernel is done with it as well."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from time import sleep
from typing import Callable

from quiesced.instance_hold import InstanceHold
from quiesced.lease import LeaseBook
from quiesced.state import StateDir

WRITERS_FIRST_S = 0.015
"""How long nothing is tidied up after a hold: all that waited wants the processors at once, and is through by then.

On one processor the last of four writers was acknowledged 5 ms after the unlock instead of 12.
"""

log = logging.getLogger(__name__)


class Endings:
    """Ends the holds of one keeper. ``changed`` is the keeper's lock; ``forget`` drops what it keeps of a lease."""

    def __init__(
        self, book: LeaseBook, state: StateDir, changed: threading.Condition, forget: Callable[[str], None]
    ) -> None:
        self._book = book
        self._state = state
        self._changed = changed
        self._forget = forget

    def finish(self, hold: InstanceHold, failures: Sequence[str], note_end: Callable[[], None]) -> None:
        """Note the end of a hold whose parts were all let go, and free the place when the kernel is done as well."""
        if hold.held_s:
            sleep(WRITERS_FIRST_S)
        settled = hold.settled(0)
        if settled:
            self._close(hold)
        with self._changed:
            try:
                note_end()
            finally:  # an answer that could not be noted must not leave the place taken for good
                self._forget(hold.lease_id)
                self._vacate(hold.lease_id, settled)
        if not settled:
            threading.Thread(target=self._finish_later, args=(hold,), name="finisher", daemon=True).start()
        for failure in failures:
            log.error("a part of the hold failed", extra={"lease_id": hold.lease_id, "reason": failure})

    def save(self) -> None:
        """Store the leases after the fact: what happened has happened, whether it can be stored or not."""
        try:
            self._state.write_leases(self._book.records())
        except OSError:
            log.exception("the leases could not be stored")

    def _finish_later(self, hold: InstanceHold) -> None:
        """Keep the guardian and the place until a freeze that is stuck in the kernel has come back and was thawed."""
        while not hold.settled(1.0):
            continue
        self._close(hold)
        with self._changed:
            self._vacate(hold.lease_id, True)

    def _vacate(self, lease_id: str, settled: bool) -> None:
        if settled:
            self._book.vacate(lease_id)
        self.save()
        self._changed.notify_all()

    def _close(self, hold: InstanceHold) -> None:
        try:
            hold.close()
        except OSError:
            log.exception("the state file could not be removed", extra={"lease_id": hold.lease_id})
