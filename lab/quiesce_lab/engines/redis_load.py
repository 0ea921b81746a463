"""The load on a Redis server, one key each: ``python -m quiesce_lab.engines.redis_load SOCKET LEDGER ...``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from quiesce_lab import writers

LAST = "last:{writer}"
ROW = "{writer}:{seq}"


class RedisSink:
    """One connection of one writer. A write that was not answered is not sent again: it may have been done."""

    def __init__(self, socket: Path) -> None:
        self._client: Any = redis.Redis(unix_socket_path=str(socket), socket_timeout=60, retry=Retry(NoBackoff(), 0))
        self._client.ping()

    def last_seq(self, writer: int) -> int:
        """See Sink."""
        return int(self._client.get(LAST.format(writer=writer)) or 0)

    def insert(self, writer: int, seq: int, content: bytes) -> None:
        """See Sink. Both keys in one command, as MULTI would have it."""
        with self._client.pipeline(transaction=True) as both:
            both.set(ROW.format(writer=writer, seq=seq), content)
            both.set(LAST.format(writer=writer), seq)
            both.execute()

    def close(self) -> None:
        """See Sink."""
        self._client.close()


def main() -> None:
    """Write until told to stop."""
    given = writers.command_line("redis_load").parse_args()
    errors = (redis.exceptions.RedisError, OSError)
    writers.serve(lambda: RedisSink(given.target), errors, given.ledger, count=given.writers, rate=given.rate)


if __name__ == "__main__":
    main()
