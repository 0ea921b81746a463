"""Doing the same for several things at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def at_once(do: Callable[[T], R], things: Sequence[T], *, at_most: int = 32) -> list[R]:
    """Do it for all, each in a thread, and return what each gave; for a single one without: writers may be waiting."""
    if len(things) == 1:
        return [do(things[0])]
    with ThreadPoolExecutor(max_workers=max(1, min(at_most, len(things)))) as pool:
        return list(pool.map(do, things))
