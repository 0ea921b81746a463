"""Redis as an application of a host, and what a second server finds of it on a restored disk."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import redis

from quiesce_lab.engines.redis import Redis
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.load import Load
from quiesce_lab.machine import Machine
from quiesce_lab.needs import which
from quiesce_lab.verifier import Key, Restored

LOAD = "quiesce_lab.engines.redis_load"
PLACES = ("/app", "/data")
"""Mount points it may lie on, the first that the host has."""
_LAST_LINES = 12


class RedisApplication:
    """See base.Application."""

    name = "cache"

    def __init__(self, machine: Machine, instance: Instance, mounts: Mapping[str, Path], ledger: Path) -> None:
        self._machine = machine
        self._place = next(mounts[place] for place in PLACES if place in mounts)
        self.server = Redis(machine, self._place / "redis", run_dir=instance.run_dir / "redis")
        self.load = Load(machine, LOAD, self.server.socket, ledger)

    @property
    def version(self) -> str:
        """See base.Application."""
        with self.server.client() as client:
            return f"Redis {client.info('server')['redis_version']}"

    def start(self) -> None:
        """See base.Application."""
        self.server.start()

    def stop(self) -> None:
        """See base.Application."""
        self.server.stop()

    def daemon_table(self) -> str:
        """See base.Application."""
        return f'[[application]]\nname = "{self.name}"\nengine = "redis"\nsocket = "{self.server.socket}"\n'

    def relax(self) -> None:
        """See base.Application: appendfsync is everysec from the beginning, which is Redis's own default."""

    def held_by_hand(self) -> AbstractContextManager[None]:
        """See base.Application: its manual has people copy the file, and nothing for snapshots."""
        return contextlib.nullcontext()

    def restored(self, places: Mapping[Path, Path], here: Instance) -> Restored:
        """See base.Application."""
        return read_redis(self._machine, places[self._place] / self.server.home.name, here)


def read_redis(machine: Machine, home: Path, instance: Instance) -> Restored:
    """Check the restored files, start a second server on them, and read every row.

    The checker comes first: a server cuts a half-written end off its append-only file when it starts.
    """
    damage = tuple(_damage(home))
    server = Redis(machine, home, run_dir=instance.run_dir / "restored-redis")
    server.forget_socket()
    try:
        server.start()
        with server.client() as client:
            position = {"aof_size": str(client.info("persistence")["aof_current_size"])}
            rows = dict(_rows(client))
    except (LabError, redis.exceptions.RedisError) as error:
        return Restored(starts=False, error_log=(str(error), *server.last_log_lines(_LAST_LINES)))
    finally:
        server.kill()
    return Restored(starts=True, rows=rows, damage=damage, position=position)


def _rows(client: Any) -> Iterator[tuple[Key, bytes]]:
    keys = [key for key in client.scan_iter(count=5000) if not key.startswith(b"last:")]
    for start in range(0, len(keys), 1000):
        part = keys[start : start + 1000]
        for key, content in zip(part, client.mget(part), strict=True):
            writer, _, seq = key.decode().partition(":")
            yield (int(writer), int(seq)), content


def _damage(home: Path) -> Iterator[str]:
    """Ask redis-check-aof about the manifest, which has it look at every file that belongs to it."""
    manifests = sorted((home / "appendonlydir").glob("*.manifest"))
    if not manifests:
        yield "there is no append-only file"
    for manifest in manifests:
        argv: list[str | Path] = [which("redis-check-aof") or "redis-check-aof", manifest]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0 or "not valid" in done.stdout:
            yield f"redis-check-aof: {' | '.join(done.stdout.splitlines()[-3:])}"
