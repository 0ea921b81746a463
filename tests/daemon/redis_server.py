"""A throw-away Redis server: its own directory, its own socket, no network, always stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.waiting import wait_until

BINARY = "redis-check-rdb"
"""The same program as redis-server, which Debian packages with a service (package redis-tools has this one alone)."""
needs_redis = pytest.mark.skipif(shutil.which(BINARY) is None, reason=f"needs {BINARY} (Debian: redis-tools)")


@dataclass
class Server:
    """A running server."""

    home: Path
    socket: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: Any) -> Any:
        """Connect; commands wait at most 10 s."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=10, decode_responses=True, **options)

    def clients(self) -> set[int]:
        """Ids of all clients but the one that asks."""
        with self.client() as asking:
            return {int(client["id"]) for client in asking.client_list()} - {int(asking.client_id())}

    def writes_wait(self) -> bool:
        """Whether a write is held back now; it is given up if so."""
        once = Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=0.2, retry=once) as writing:
            try:
                writing.set("probe of the test", "x")
            except redis.exceptions.TimeoutError:
                return True
        return False

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def answers(self) -> bool:
        """Whether it answers."""
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.home.with_suffix('.log').read_text()[-2000:]}")
        if not self.socket.is_socket():
            return False
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


@contextmanager
def running(home: Path, *options: str) -> Iterator[Server]:
    """Run a server in a directory, which may have data of an earlier one."""
    home.mkdir(exist_ok=True)
    program, socket = home.with_suffix(".bin") / "redis-server", home.with_suffix(".sock")
    program.parent.mkdir(exist_ok=True)
    if not program.exists():
        program.symlink_to(str(shutil.which(BINARY)))
    argv = [str(program), "--port", "0", "--unixsocket", str(socket), "--dir", str(home), "--daemonize", "no", *options]
    with home.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=str(home), env={**os.environ})
    server = Server(home, socket, process)
    try:
        wait_until(server.answers, 20)
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait(20)
