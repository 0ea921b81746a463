"""A replica is built from a snapshot, at the position that its certificate names, and catches up with the primary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from quiesce_lab.engines.mariadb import MariaDB
from quiesce_lab.engines.mariadb_app import DATA, MariaDBApplication
from quiesce_lab.engines.mariadb_load import TABLE
from quiesce_lab.engines.mariadb_restore import moved
from quiesce_lab.host import Layout
from quiesce_lab.instances import Instance
from quiesce_lab.stage import Stage, stage
from tests.free_ports import free_port
from tests.lab.situations import certificate_of
from tests.waiting import wait_until

pytestmark = pytest.mark.lab
USER, PASSWORD = "replication", "a password"


@contextmanager
def restored_server(here: Stage, places: Mapping[Path, Path], elsewhere: Instance) -> Iterator[MariaDB]:
    """A second server on restored disks, with a server id and a relay log of its own."""
    first = here.host.database
    extra = ("--server-id=2", "--skip-slave-start", f"--relay-log={elsewhere.run_dir}/replica/relay")
    options = replace(moved(first.options, places), extra=extra)
    datadir = places[here.host.mounts[DATA]] / first.datadir.name
    index = datadir / "binlog.index"
    index.write_text("".join(f"{datadir / Path(line).name}\n" for line in index.read_text().split()))
    server = MariaDB(here.site.machine, datadir, run_dir=elsewhere.run_dir / "replica", options=options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def slave_status(server: MariaDB) -> dict[str, str]:
    with server.connect() as session, session.cursor() as cursor:
        cursor.execute("SHOW SLAVE STATUS")
        names = [str(column[0]) for column in cursor.description or ()]
        row = cursor.fetchone() or ()
        return {name: str(value) for name, value in zip(names, row, strict=True)}


def caught_up(first: MariaDB, second: MariaDB) -> bool:
    status = slave_status(second)
    assert status["Last_SQL_Errno"] == status["Last_IO_Errno"] == "0", status
    return second.value("SELECT @@gtid_slave_pos") == first.value("SELECT @@gtid_binlog_pos")


def test_a_replica_that_starts_at_the_certified_gtid_catches_up_without_an_error(state_dir: Path) -> None:
    port = free_port()
    reachable = ("--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}")
    layout = Layout((DATA,), (partial(MariaDBApplication, extra=reachable),))
    with stage(state_dir.with_name(f"{state_dir.name}-replica"), layout=layout, address="127.77.3.1") as here:
        first, load = here.host.database, here.host.load
        first.value(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
        first.value(f"GRANT REPLICATION SLAVE ON *.* TO {USER}@'%'")
        here.host.set_durability(0)
        load.start(500)
        load.wait_until_acked(1000)
        certificate = certificate_of(here.fire())
        load.wait_until_acked(load.acked() + 500)
        gtid = certificate["positions"]["orders"]["gtid"]
        with (
            here.host.restored_disks(certificate["snapshots"]) as (places, elsewhere),
            restored_server(here, places, elsewhere) as second,
        ):
            assert certificate["level"] == "application"
            assert second.value("SELECT @@gtid_binlog_pos") == gtid
            second.value(f"SET GLOBAL gtid_slave_pos = '{gtid}'")
            second.value(
                f"CHANGE MASTER TO master_host='127.0.0.1', master_port={port}, master_user='{USER}', "
                f"master_password='{PASSWORD}', master_use_gtid=slave_pos"
            )
            second.value("START SLAVE")
            load.stop()
            wait_until(lambda: caught_up(first, second), timeout_s=30)
            count = f"SELECT CONCAT(COUNT(*), ':', SUM(CRC32(payload))) FROM {TABLE}"
            assert second.value(count) == first.value(count)
