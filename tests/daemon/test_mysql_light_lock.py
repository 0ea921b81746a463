"""Which servers have a lock lighter than the read lock, by what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from quiesced.quiescers.mysql.mode import against_light_lock
from quiesced.quiescers.mysql.replica import Channel
from quiesced.quiescers.mysql.session import Flavor

MYSQL, MARIADB = Flavor("8.4.0", False, (8, 4, 0)), Flavor("10.11.6-MariaDB", True, (10, 11, 6))


@dataclass(frozen=True)
class Says:
    """A server that answers what is asked before a hold, and nothing else."""

    log_bin: int = 1
    binlog_encryption: int = 0
    privileges: tuple[str, ...] = ("RELOAD", "PROCESS", "BACKUP_ADMIN")

    def value(self, statement: str) -> Any:
        assert statement == "SELECT CURRENT_USER()"
        return "quiesced@localhost"

    def rows(self, statement: str, *_: object) -> tuple[tuple[Any, ...], ...]:
        if "user_privileges" in statement:
            return tuple((one,) for one in self.privileges)
        assert statement == "SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_encryption"
        return ((self.log_bin, self.binlog_encryption),)


@pytest.mark.parametrize(
    ("flavor", "server", "channels", "why"),
    [
        (MYSQL, Says(), (), ""),
        (Flavor("8.0.30", False, (8, 0, 30)), Says(), (), ""),
        (Flavor("8.0.29", False, (8, 0, 29)), Says(), (), "from MySQL 8.0.30 on only"),
        (Flavor("5.7.44", False, (5, 7, 44)), Says(), (), "from MySQL 8.0.30 on only"),
        (MYSQL, Says(), (Channel("", False, "binlog.000001:4"),), "it replicates"),
        (MYSQL, Says(log_bin=0), (), "its binary log is off"),
        (MYSQL, Says(binlog_encryption=1), (), "its binary log is encrypted"),
        (MYSQL, Says(privileges=("RELOAD", "PROCESS")), (), "the user lacks BACKUP_ADMIN"),
        (MARIADB, Says(log_bin=0, privileges=()), (Channel("", True, ""),), ""),
        (Flavor("10.3.39-MariaDB", True, (10, 3, 39)), Says(), (), "no backup stages"),
    ],
)
def test_each_that_has_none_says_why(flavor: Flavor, server: Says, channels: tuple[Channel, ...], why: str) -> None:
    said = against_light_lock(server, flavor, channels)  # type: ignore[arg-type]  # answers only what is asked
    assert (why in said, bool(said)) == (True, bool(why)), said
