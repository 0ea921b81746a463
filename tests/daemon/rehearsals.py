"""A configured instance with real disks and a SQLite application, for rehearsals; its service can be started."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.daemon.hook_caller import KEY_ID, SECRET, Site
from tests.daemon.loopdisks import LoopDisks
from tests.daemon.test_cli import HOOKS, free_port
from tests.waiting import wait_until

QUIESCED = [sys.executable, "-B", "-m", "quiesced"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HOOKS)}


@dataclass
class Instance:
    """An instance as ``quiesced`` finds it."""

    directory: Path
    disks: LoopDisks
    site: Site
    config: Path
    port: int

    @property
    def state_dir(self) -> Path:
        return self.directory / "run"

    def argv(self, command: str, *arguments: str) -> list[str]:
        return [*QUIESCED, command, "--config", str(self.config), *arguments]

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = self.argv(command, *arguments)
        return subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=90, check=False)

    def rehearse(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Rehearse; return the exit status and the report."""
        done = self.run("rehearse", "--output", "json", *arguments)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    @contextmanager
    def service(self) -> Iterator[subprocess.Popen[str]]:
        """Serve until the block ends."""
        log = self.directory / "log"
        with log.open("w") as stream:
            process = subprocess.Popen(self.argv("serve"), env=ENVIRONMENT, stderr=stream, text=True)
        try:
            wait_until(lambda: "serving" in log.read_text() or process.poll() is not None, 20)
            yield process
        finally:
            process.terminate()
            process.wait(20)

    def holds_nothing(self) -> bool:
        """Whether no disk is frozen and nothing is noted as held."""
        held = [*self.state_dir.rglob("held.json")]
        return not held and not any(self.disks.is_frozen(number) for number in range(len(self.disks.disks)))


def instance(directory: Path, disks: LoopDisks, tables: Sequence[str] = (), *, limits: str = "3, 20") -> Instance:
    """Configure an instance with these ``[[application]]`` tables; ``limits`` are acquire and hold limit in seconds."""
    site, port = Site(directory), free_port()
    listen = site.listen()
    key, config = directory / "hook.key", directory / "quiesced.toml"
    key.touch(mode=0o600)
    key.write_text(SECRET.decode())
    acquire_limit_s, hold_limit_s = limits.split(", ")
    applications = "".join(f"\n[[application]]\n{table}\n" for table in tables)
    config.write_text(
        f"""
disk_by_id_dir = "{disks.by_id_dir}"
state_dir = "{directory}/run"
[listen]
host = "127.0.0.1"
port = {port}
certificate = "{listen.certificate}"
private_key = "{listen.private_key}"
[keys]
{KEY_ID} = "{key}"
[limits]
acquire_limit_s = {acquire_limit_s}
hold_limit_s = {hold_limit_s}
{applications}"""
    )
    return Instance(directory, disks, site, config, port)


def sqlite_table(path: Path) -> str:
    """Make a database and the table that configures it."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (item TEXT)")
        connection.commit()
    return f'name = "orders"\nengine = "sqlite"\npath = "{path}"'
