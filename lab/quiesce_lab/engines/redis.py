"""A Redis server of the lab: its data on the instance's disks, its socket and log elsewhere, and no network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import redis

from quiesce_lab.engines.starting import last_lines, start_and_wait
from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine
from quiesce_lab.needs import which
from quiesce_lab.processes import Command, Process

BINARY = "redis-check-rdb"
"""The same program as redis-server, which goes by the name that it is called by; Debian's redis-tools has no service."""
START_LIMIT_S = 30.0


class Redis:
    """One server on one data directory, with an append-only file. Methods raise LabError."""

    def __init__(self, machine: Machine, home: Path, *, run_dir: Path, fsync: str = "everysec") -> None:
        """``run_dir`` is a directory of the server's own, outside of the disks. ``fsync`` is always, everysec or no."""
        self.home = home
        self.socket = run_dir / "redis.sock"
        self.log = run_dir / "redis.log"
        self._program = run_dir / "redis-server"
        self._fsync = fsync
        self._machine = machine
        self._process: Process | None = None

    def start(self) -> None:
        """Start the server and wait until it has loaded its data. When it ends instead, the error quotes its log."""
        for directory in (self.home, self.socket.parent):
            directory.mkdir(parents=True, exist_ok=True)
        if not self._program.exists():
            found = which(BINARY)
            if found is None:
                raise LabError(f"{BINARY} is not installed (Debian: redis-tools)")
            self._program.symlink_to(found)
        command = Command(f"redis-server on {self.home}", self._argv(), self.log)
        self._process = start_and_wait(self._machine, command, self.answers, START_LIMIT_S)

    def stop(self) -> None:
        """End the server in order. One that does not run is no error."""
        if self._process is not None and self._process.running:
            self._process.terminate()
            self._process.wait(START_LIMIT_S)

    def kill(self) -> None:
        """Kill the server as a crash of it would."""
        if self._process is not None:
            self._process.kill()

    def client(self) -> Any:
        """Connect over the socket."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=60, decode_responses=False)

    def answers(self) -> bool:
        """Whether it answers, and has loaded its data."""
        if not self.socket.is_socket():
            return False
        try:
            with self.client() as client:
                return not client.info("persistence")["loading"]
        except redis.exceptions.RedisError:
            return False

    def last_log_lines(self, count: int) -> tuple[str, ...]:
        """Last lines of the server's log."""
        return last_lines(self.log, count)

    def forget_socket(self) -> None:
        """Remove what a killed server left, so that the next one is not taken for it."""
        shutil.rmtree(self.socket.parent, ignore_errors=True)

    def _argv(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.home),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "save": "",
            "daemonize": "no",
        }
        return [str(self._program), *(part for key, value in settings.items() for part in (f"--{key}", value))]
