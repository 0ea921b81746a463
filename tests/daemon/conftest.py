"""Fixtures that several modules of the daemon's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pymysql
import pytest

from quiesced.keeper import Keeper
from tests.daemon import mariadb
from tests.daemon.fakes import FakeInstance
from tests.daemon.keeper_on_fakes import start
from tests.daemon.mariadb import Server
from tests.daemon.nested_disks import Nested, nested_disks
from tests.waiting import wait_until


@pytest.fixture
def instance(tmp_path: Path) -> FakeInstance:
    return FakeInstance(tmp_path)


@pytest.fixture
def keeper(tmp_path: Path, instance: FakeInstance) -> Iterator[Keeper]:
    keeper = start(tmp_path, instance)
    yield keeper
    for stuck in instance.kernel.stuck.values():
        stuck.set()
    keeper.close()
    wait_until(instance.holds_nothing)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A MariaDB server with a table of orders, and the account that the daemon has on it."""
    datadir = tmp_path_factory.mktemp("mysql") / "data"
    mariadb.install(datadir)
    with mariadb.running(datadir, "--log-bin=binlog", "--server-id=1") as server:
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        server.ask("INSERT INTO shop.orders (item) VALUES ('a row that a slow UPDATE can be slow on')")
        server.ask("CREATE USER quiesced@localhost IDENTIFIED BY 'a password'")
        server.ask("GRANT RELOAD, PROCESS, BINLOG MONITOR, SUPER ON *.* TO quiesced@localhost")
        yield server


@pytest.fixture
def server(shop: Server) -> Iterator[Server]:
    """The server of the shop, with nobody else on it."""
    shop.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    wait_until(lambda: not shop.sessions())
    yield shop
    for session in shop.sessions():
        with suppress(pymysql.err.MySQLError):
            shop.ask(f"KILL {session}")


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Nested]:
    """A disk whose freeze is stuck while the disk below it is frozen."""
    with nested_disks(tmp_path) as made:
        yield made
