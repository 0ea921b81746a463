"""How far the redo log of a MySQL or MariaDB server is, read from what the server says."""

from __future__ import annotations

from typing import Any

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.mysql import redo
from quiesced.quiescers.mysql.session import Flavor
from tests.daemon.test_mysql_order import FakeServer, FakeSession

MARIADB, MYSQL = Flavor("", True, (10, 11, 0)), Flavor("", False, (8, 0, 36))
STATUS = """
------------
TRANSACTIONS
------------
---TRANSACTION 421, ACTIVE 3 sec
INSERT INTO notes VALUES ('
Log sequence number          7
Log flushed up to            7
')
---
LOG
---
Log sequence number          20929886
Log buffer assigned up to    20929886
Log flushed up to            20929100
Pages flushed up to          20927589
----------------------
"""


class Says(FakeSession):
    """A session with a server that answers any statement with these rows."""

    def __init__(self, *rows: tuple[Any, ...]) -> None:
        self._answer = rows

    def rows(self, statement: str, *values: object) -> tuple[tuple[Any, ...], ...]:
        return self._answer


def test_a_redo_log_that_never_reaches_the_disk_is_refused() -> None:
    server = FakeServer()
    server.pushes_in_vain, server.written = 10_000, 110
    left_s = iter([2.0, 2.0, 1.0, 0.0])
    with pytest.raises(Refused, match="redo flushed to 100 only, written to 110"):
        redo.wait_until_durable(FakeSession(server), MARIADB, lambda: next(left_s), lambda _: None)


def test_a_clients_statement_that_looks_like_a_position_is_not_taken_for_one() -> None:
    assert redo.read(Says(("InnoDB", "", STATUS)), MYSQL) == redo.Redo(written=20929886, flushed=20929100)


@pytest.mark.parametrize("text", ["", STATUS.replace("flushed up", "flushed"), STATUS.replace("sequence", "")])
def test_a_server_that_does_not_show_its_positions_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="does not show the position"):
        redo.read(Says(("InnoDB", "", text)), MYSQL)


@pytest.mark.parametrize(
    ("flavor", "said"), [(MYSQL, ()), (MYSQL, (("ON",),)), (Flavor("", False, (8, 0, 20)), (("OFF",),))]
)
def test_a_server_that_says_nothing_of_a_disabled_log_has_one(flavor: Flavor, said: tuple[tuple[str], ...]) -> None:
    redo.insist_on_log(Says(*said), flavor)


def test_a_disabled_log_is_refused_with_the_statement_that_enables_it() -> None:
    with pytest.raises(Refused, match="ALTER INSTANCE ENABLE INNODB REDO_LOG"):
        redo.insist_on_log(Says(("OFF",)), MYSQL)
