"""Every engine x (its server dies before, during, after the hold) x (released once, twice, never), on real servers.

A dead server refuses a hold, is no witness, and when it runs again nothing of the hold is left on it, released or not.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget, Quiescer
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import Options as MysqlOptions
from quiesced.quiescers.postgres.quiescer import PostgresQuiescer
from quiesced.quiescers.postgres.session import Options as PostgresOptions
from quiesced.quiescers.redis.quiescer import RedisQuiescer
from quiesced.quiescers.redis.session import Options as RedisOptions
from tests.daemon import mariadb, postgres, redis_server
from tests.daemon.mariadb import needs_mariadb, rows
from tests.daemon.postgres import needs_postgres
from tests.daemon.redis_server import needs_redis
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.lab,
    # Drivers that fail to connect to a dead server leave their sockets to the collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Running:
    """A running server: its quiescer, its process, and whether somebody can write to it."""

    quiescer: Quiescer
    process: subprocess.Popen[bytes]
    writable: Callable[[], bool]
    death: signal.Signals = signal.SIGKILL


Start = Callable[[Path], AbstractContextManager[Running]]


@contextmanager
def mysql(home: Path, mode: str) -> Iterator[Running]:
    datadir = home / "data"
    if not datadir.exists():
        mariadb.install(datadir)
    with mariadb.running(datadir, "--log-bin=binlog", "--server-id=1") as server:
        server.ask("CREATE DATABASE IF NOT EXISTS shop")
        server.ask("CREATE TABLE IF NOT EXISTS shop.orders (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB")
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")

        def writable() -> bool:
            if int(server.value("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")) != 2:
                return False
            with server.connect(read_timeout=3) as session, suppress(pymysql.err.OperationalError):
                rows(session, "SET SESSION lock_wait_timeout = 1")
                rows(session, "INSERT INTO shop.orders VALUES ()")
                return True
            return False

        options = MysqlOptions(server.socket, "root", "", 5.0, 5.0, mode=mode)
        yield Running(MysqlQuiescer("orders", options), server.process, writable)


@contextmanager
def postgresql(home: Path, mode: str) -> Iterator[Running]:
    home.chmod(0o755)
    cluster = home / "cluster"
    datadir = cluster / "data" if cluster.exists() else postgres.install(cluster)
    (datadir / "postmaster.pid").unlink(missing_ok=True)
    with postgres.running(datadir, run_dir=home / "run") as server:
        server.ask("CREATE TABLE IF NOT EXISTS orders (id SERIAL PRIMARY KEY)")

        def writable() -> bool:
            server.ask("INSERT INTO orders DEFAULT VALUES")
            return not server.sessions()

        options = PostgresOptions(server.socket_dir, "postgres", mode=mode)
        yield Running(PostgresQuiescer("ledger", options), server.process, writable, signal.SIGQUIT)


@contextmanager
def redis(home: Path) -> Iterator[Running]:
    with redis_server.running(home / "redis", "--appendonly", "yes", "--save", "") as server:
        quiescer = RedisQuiescer("cache", RedisOptions(server.socket, None, None))
        yield Running(quiescer, server.process, lambda: not server.writes_wait())


ENGINES = [
    pytest.param(lambda home: mysql(home, "lock"), marks=needs_mariadb, id="mariadb lock"),
    pytest.param(lambda home: mysql(home, "backup_lock"), marks=needs_mariadb, id="mariadb backup_lock"),
    pytest.param(lambda home: postgresql(home, "freeze"), marks=needs_postgres, id="postgres freeze"),
    pytest.param(lambda home: postgresql(home, "backup_api"), marks=needs_postgres, id="postgres backup_api"),
    pytest.param(redis, marks=needs_redis, id="redis"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A place that a server's own user can reach, with a path short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="q-", dir="/var/tmp"))
    yield made
    shutil.rmtree(made)


def budget(acquire_s: float = 3.0, hold_s: float = 3.0) -> Budget:
    ends_s = time.monotonic() + acquire_s
    return Budget(lambda: max(0.0, ends_s - time.monotonic()), hold_s)


def die(server: Running) -> None:
    os.kill(server.process.pid, server.death)
    server.process.wait(20)


@pytest.mark.parametrize("releases", [1, 2, 0], ids=["released once", "released twice", "never released"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("start", ENGINES)
def test_nothing_of_a_hold_is_left_whenever_the_server_dies(start: Start, home: Path, when: str, releases: int) -> None:
    leftovers: list[dict[str, object]] = []
    with start(home) as server:
        hold = server.quiescer.prepare(budget(), SCENE, leftovers.append)
        if when == "before":
            die(server)
            with pytest.raises(Refused) as raised:
                hold.quiesce(budget())
            assert raised.value.code == "application_unreachable"
        else:
            hold.quiesce(budget())
            assert hold.witness().session_alive and hold.witness().lock_shown
        if when == "during":
            die(server)
            seen = hold.witness()
            assert (seen.session_alive, seen.lock_shown) == (False, False)
        for _ in range(releases):
            hold.release()
        if when == "after":
            if releases:
                wait_until(server.writable)  # let go while it still lives
            die(server)
            assert not hold.witness().session_alive
    with start(home) as again:
        again.quiescer.heal(leftovers[-1])  # what the next daemon does
        wait_until(again.writable)
        fresh = again.quiescer.prepare(budget(), SCENE, leftovers.append)
        fresh.quiesce(budget())
        assert fresh.witness().lock_shown
        fresh.release()
        wait_until(again.writable)
    hold.release()
