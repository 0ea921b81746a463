"""The warden: the keeper's thread that lets go of whatever nobody releases in time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Callable, Optional

from quiesced.instance_hold import InstanceHold


@dataclass(frozen=True)
class Sight:
    """What one look found: the hold that has the place, why it has to end now, and how long it may be left alone."""

    hold: Optional[InstanceHold] = None
    reason: str = ""
    wait_s: Optional[float] = None
    over: bool = False
    """There is nothing left to watch."""


class Warden:
    """``look`` is called with ``changed`` held; ``claim`` makes a hold ours to end, and is False when it is not any more."""

    def __init__(
        self,
        changed: threading.Condition,
        look: Callable[[], Sight],
        claim: Callable[[str], bool],
        end: Callable[[InstanceHold, str], None],
    ) -> None:
        self._changed = changed
        self._look = look
        self._claim = claim
        self._end = end
        self._thread = threading.Thread(target=self._watch, name="warden", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def join(self) -> None:
        """Wait until there is nothing left to watch."""
        self._thread.join()

    def _watch(self) -> None:
        sight = self._wait_until_due()
        while sight.hold:
            self._end(sight.hold, sight.reason)
            sight = self._wait_until_due()

    def _wait_until_due(self) -> Sight:
        with self._changed:
            while True:
                sight = self._look()
                if sight.over:
                    return Sight(over=True)
                if sight.hold and sight.reason and self._claim(sight.hold.lease_id):
                    return sight
                self._changed.wait(sight.wait_s)
