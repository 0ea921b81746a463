"""Doing again what failed in passing: stamina does it, and is loaded when something has failed.

Loading it takes a tenth of a cold start, for which a fleet waits; next to all calls succeed at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """How often in all, for how long after the first, and with which pauses."""

    attempts: int
    wait_initial_s: float
    wait_max_s: float
    wait_jitter_s: float
    timeout_s: float | None = None

    def call(self, may_help: Callable[[Exception], bool], do: Callable[[], T]) -> T:
        """Return what ``do`` does in the end; raises its last error, at once when ``may_help`` says that no more helps."""
        began_s = time.monotonic()
        try:
            return do()
        except Exception as error:
            if not may_help(error):
                raise
            failed: list[Exception] = [error]

        def once_more() -> T:
            if failed:  # the first time has been
                raise failed.pop()
            return do()

        return self._call(may_help, once_more, time.monotonic() - began_s)

    def _call(self, may_help: Callable[[Exception], bool], do: Callable[[], T], spent_s: float) -> T:
        import stamina  # noqa: PLC0415 - see above

        caller = stamina.RetryingCaller(
            attempts=self.attempts,
            timeout=None if self.timeout_s is None else max(0.001, self.timeout_s - spent_s),
            wait_initial=self.wait_initial_s,
            wait_max=self.wait_max_s,
            wait_jitter=self.wait_jitter_s,
        )
        return caller.on(may_help)(do)
