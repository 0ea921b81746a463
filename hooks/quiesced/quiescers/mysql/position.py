"""Where a held server stands: asked of it under its lock, or read from its files behind a freeze."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Protocol

from quiesced.errors import Refused
from quiesced.quiescers.mysql import replica
from quiesced.quiescers.mysql.binlog import BinaryLog
from quiesced.quiescers.mysql.binlog_events import Malformed
from quiesced.quiescers.mysql.session import LOOK_LIMIT_S, Flavor, Session

_ROWS_MARIADB = ("Handler_write", "Handler_update", "Handler_delete")
_ROWS_MYSQL = ("Innodb_rows_inserted", "Innodb_rows_updated", "Innodb_rows_deleted")


class Position(Protocol):
    """Says where a server stands. Each call raises Refused, or what LOST names."""

    def catch_up(self, left_s: Callable[[], float]) -> None:
        """Do what need not, or cannot, be done behind a freeze. The last time is under the lock."""

    def look(self) -> dict[str, str]:
        """Return the position by the names of its parts."""


class Asked:
    """Asked of the server, whose lock lets nothing move."""

    def __init__(self, control: Session, flavor: Flavor, *, replicates: bool) -> None:
        self._control = control
        self._flavor = flavor
        self._replicates = replicates
        self._applied: dict[str, str] = {}

    def catch_up(self, left_s: Callable[[], float]) -> None:
        """See Position: how far a replica has applied.

        Under the lock nothing more is; behind a freeze, whoever asks waits for the thread that stores what a primary sends.
        """
        if self._replicates:
            channels = replica.channels(self._control, self._flavor)
            self._applied = {" ".join(filter(None, ("applied", one.name))): one.position for one in channels}

    def look(self) -> dict[str, str]:
        """See Position; of a replica, how far each channel has applied, too."""
        return {**_asked(self._control, self._flavor), **self._applied}


class OnDisk:
    """Read from the binary log's files, which a freeze keeps as they are."""

    def __init__(self, log: BinaryLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._monotonic = monotonic

    def catch_up(self, left_s: Callable[[], float]) -> None:
        """See Position."""
        self._read(left_s)

    def look(self) -> dict[str, str]:
        """See Position."""
        ends_s = self._monotonic() + LOOK_LIMIT_S
        return self._read(lambda: ends_s - self._monotonic())

    def _read(self, left_s: Callable[[], float]) -> dict[str, str]:
        try:
            return self._log.read(left_s)
        except TimeoutError as error:
            remedy = 'run again, which goes on from there, or set mode = "lock"'
            raise Refused("acquire_timeout", f"its binary log takes long to read: {error}; {remedy}") from error
        except (OSError, Malformed) as error:
            raise Refused("application_unreachable", f'its binary log: {error}; set mode = "lock"') from error


class KnownLogs:
    """The binary log of one server, kept from one hold to the next so that it is not read from its beginning each time."""

    def __init__(self) -> None:
        self._files: tuple[Path, Path] = (Path(), Path())
        self._log: BinaryLog = BinaryLog(*self._files)

    def log_of(self, control: Session) -> BinaryLog:
        """Ask a server which log it has, and what it has executed. Raises what LOST names."""
        query = "SELECT @@GLOBAL.datadir, @@GLOBAL.log_bin_index, @@GLOBAL.gtid_executed"
        datadir, index, executed = (str(value) for value in control.rows(query)[0])
        files = (Path(datadir), Path(datadir) / index)
        if files != self._files:
            self._files, self._log = files, BinaryLog(*files)
        self._log.says(executed)
        return self._log


def _asked(control: Session, flavor: Flavor) -> dict[str, str]:
    """Read the replication position; without a binary log, counters of changed rows."""
    renamed = not flavor.mariadb and flavor.number >= (8, 2)
    rows = control.rows("SHOW BINARY LOG STATUS" if renamed else "SHOW MASTER STATUS")
    if not rows:
        # Nothing to start a replica from, but it still shows whether anything was written between two looks.
        names = _ROWS_MARIADB if flavor.mariadb else _ROWS_MYSQL
        listed = ", ".join(f"'{name}'" for name in names)
        return {k.lower(): v for k, v in control.named(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({listed})").items()}
    found = {"gtid": _gtid(control, flavor), "log_file": str(rows[0][0]), "log_offset": str(rows[0][1])}
    return {key: value for key, value in found.items() if value}


def _gtid(control: Session, flavor: Flavor) -> str:
    variable = "@@GLOBAL.gtid_binlog_pos" if flavor.mariadb else "@@GLOBAL.gtid_executed"
    return str(control.value(f"SELECT {variable}")).replace("\n", "")
