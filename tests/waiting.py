"""Waiting for a condition, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def wait_until(condition: Callable[[], Result], timeout_s: float = 5.0, every_s: float = 0.01) -> Result:
    """Poll until the condition gives something true and return that. Fails the test when time runs out."""
    end = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"still false after {timeout_s} s")
        time.sleep(every_s)
