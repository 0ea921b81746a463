"""SCF's queue of asynchronous events: delivered at least once, again after an error, and now and then twice.

An error of the function, a time-out among them, is retried twice at intervals of a minute (SCF documentation, error types
and retry policies). What a test may set: the interval, which events come twice, and which workers are killed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quiesce_lab.scf import OK, Function, Invoked

RETRIES = 2
RETRY_AFTER_S = 60.0
_TICK_S = 0.05


@dataclass(frozen=True)
class Delivery:
    """One delivery of one event, and how it ended. ``attempt`` counts from 0; ``copy`` is 1 for a second delivery."""

    request_id: str
    event: Any
    attempt: int
    copy: int
    began_s: float
    invoked: Invoked
    killed: bool


def never(_event: Any, _copy: int) -> bool:
    """Deliver once, as one would wish."""
    return False


class Queue:
    """The asynchronous events of one function. Implements ports.Invokable."""

    def __init__(
        self,
        function: Function,
        *,
        retry_after_s: float = RETRY_AFTER_S,
        comes_twice: Callable[[Any, int], bool] = never,
        kill_after_s: Callable[[Any, int], float | None] = lambda _event, _attempt: None,
    ) -> None:
        """``kill_after_s`` is given the event and the attempt, and says when that worker is killed, if it is."""
        self._function = function
        self._retry_after_s = retry_after_s
        self._comes_twice = comes_twice
        self._kill_after_s = kill_after_s
        self._changed = threading.Condition()
        self._under_way = 0
        self._deliveries: list[Delivery] = []

    def enqueue(self, event: Any, request_id: str) -> None:
        """See ports.Invokable."""
        for copy in range(2 if self._comes_twice(event, 0) else 1):
            with self._changed:
                self._under_way += 1
            threading.Thread(target=self._deliver, args=(event, request_id, copy), daemon=True).start()

    def call(self, event: Any) -> tuple[Any, str]:
        """See ports.Invokable."""
        invoked = self._function.invoke(event)
        return invoked.value, invoked.error

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every delivery that has ended, in the order of their ends."""
        with self._changed:
            return tuple(self._deliveries)

    def wait(self, timeout_s: float) -> bool:
        """Wait until every event was delivered to its end, retries included; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout_s)

    def _deliver(self, event: Any, request_id: str, copy: int) -> None:
        try:
            for attempt in range(RETRIES + 1):
                delivery = self._run(event, request_id, copy, attempt)
                with self._changed:
                    self._deliveries.append(delivery)
                if delivery.invoked.status == OK:
                    return
                time.sleep(self._retry_after_s)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _run(self, event: Any, request_id: str, copy: int, attempt: int) -> Delivery:
        began_s = time.monotonic()
        invocation = self._function.start(event)
        kill_after_s = self._kill_after_s(event, attempt) if not copy else None
        killed = False
        while kill_after_s is not None and invocation.running:
            if time.monotonic() - began_s >= kill_after_s:
                invocation.kill()
                killed = True
                break
            time.sleep(_TICK_S)
        return Delivery(request_id, event, attempt, copy, began_s, invocation.wait(), killed)
