"""A primary and its replica, of either kind of server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.daemon.mariadb import Server


@dataclass(frozen=True)
class Pair:
    """Two servers, and what is asked of them in words of their own."""

    primary: Server
    replica: Server
    word: str
    """What the server calls a replica in its statements."""
    in_step: Callable[[], bool]
    """Whether the replica has executed all that the primary has."""
    applies: Callable[[], bool]
    """Whether the replica's SQL thread runs."""
