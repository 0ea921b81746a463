"""Waiting for a condition, with a bound, and going on with something meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def again_and_again(act: Callable[[], object]) -> Iterator[None]:
    """Do something in a thread until the block ends."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
