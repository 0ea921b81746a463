"""A real MySQL replica is held: its SQL thread stands still, and afterwards is as it was before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.mariadb import Server
from tests.daemon.replica_pair import Pair
from tests.daemon.test_mysql_replica import (
    test_a_hold_that_is_refused_starts_the_sql_thread_again,
    test_a_replica_is_known_as_one_and_check_leaves_it_running,
    test_a_sql_thread_that_was_stopped_before_stays_stopped,
    test_nothing_is_applied_while_it_is_held_and_all_of_it_afterwards,
    test_the_next_daemon_starts_what_a_dead_one_had_stopped,
)
from tests.free_ports import free_port
from tests.mysql import server as mysql
from tests.mysql.conftest import ACCOUNT, grants
from tests.waiting import wait_until

pytestmark = pytest.mark.lab
__all__ = [
    "test_a_hold_that_is_refused_starts_the_sql_thread_again",
    "test_a_replica_is_known_as_one_and_check_leaves_it_running",
    "test_a_sql_thread_that_was_stopped_before_stays_stopped",
    "test_nothing_is_applied_while_it_is_held_and_all_of_it_afterwards",
    "test_the_next_daemon_starts_what_a_dead_one_had_stopped",
]
"""What holds for MariaDB, too."""

GTID = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A primary and its replica, and the account that the daemon has on the replica."""
    first = tmp_path_factory.mktemp("pair") / "primary"
    mysql.install(first)
    second = Path(shutil.copytree(first, first.with_name("replica")))
    (second / "auto.cnf").unlink()  # each server has an id of its own
    port = free_port()
    with (
        mysql.running(first, "--server-id=1", "--bind-address=127.0.0.1", f"--port={port}", *GTID) as primary,
        mysql.running(second, "--server-id=2", "--skip-networking", *GTID) as replica,
    ):
        primary.ask("CREATE USER replication@'%' IDENTIFIED BY 'a password'")
        primary.ask("GRANT REPLICATION SLAVE ON *.* TO replication@'%'")
        replica.ask(
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='replication', "
            "SOURCE_PASSWORD='a password', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1"
        )
        replica.ask("START REPLICA")
        primary.ask("CREATE DATABASE shop")
        primary.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        made = Pair(primary, replica, "REPLICA", lambda: in_step(primary, replica), lambda: applies(replica))
        wait_until(made.in_step, timeout_s=20)
        for statement in ("SET SESSION sql_log_bin = 0", ACCOUNT, *grants()):
            replica.ask(statement)
        yield made


def in_step(primary: Server, replica: Server) -> bool:
    """Whether the replica has executed all that the primary has."""
    done = primary.value("SELECT @@GLOBAL.gtid_executed")
    return bool(replica.value(f"SELECT GTID_SUBSET('{done}', @@GLOBAL.gtid_executed)"))


def applies(replica: Server) -> bool:
    """Whether the SQL thread runs."""
    return bool(replica.value("SELECT service_state FROM performance_schema.replication_applier_status") == "ON")
