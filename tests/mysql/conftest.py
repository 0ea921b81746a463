"""A MySQL server with a shop, and the account that quiesced.example.toml has for the daemon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.mariadb import Server
from tests.daemon.mysql_holds import INSERT
from tests.mysql import server as mysql
from tests.waiting import wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "hooks" / "quiesced.example.toml"
ACCOUNT = "CREATE USER quiesced@localhost IDENTIFIED BY 'a password'"


def grants() -> list[str]:
    """The statements of the example for MySQL, in order."""
    part = EXAMPLE.read_text().partition("# MySQL 8.0 and newer")[2].partition("\n\n")[0]
    return re.findall(r"#   (GRANT .*);", part)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    datadir = tmp_path_factory.mktemp("mysql") / "data"
    mysql.install(datadir)
    redo = datadir.with_name("redo")
    redo.mkdir()
    (datadir / "#innodb_redo").rename(redo / "#innodb_redo")
    far = datadir.with_name("far")
    far.mkdir()
    apart = (f"--innodb-log-group-home-dir={redo}", f"--innodb-directories={far}", f"--log-bin={datadir.parent}/binlog")
    with mysql.running(datadir, *apart, "--skip-networking") as server:
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        for statement in (ACCOUNT, *grants(), INSERT):  # a row, for statements that take long over it
            server.ask(statement)
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    wait_until(lambda: not running.sessions())
    yield running
    for number in running.sessions():
        running.ask(f"KILL {number}")
