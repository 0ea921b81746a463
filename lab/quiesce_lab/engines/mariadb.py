"""A MariaDB server of the lab: its data on the instance's disks, its socket, log and temporary files elsewhere.

It never reads /etc/mysql and never meets the distribution's service: Debian's mariadb-server-core is enough.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pymysql

from quiesce_lab.engines.starting import last_lines, start_and_wait
from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine
from quiesce_lab.needs import which
from quiesce_lab.processes import Command, Process
from quiesce_lab.run import run

START_LIMIT_S = 90.0
"""Crash recovery of a few hundred MiB of redo log on a slow disk is within this."""
STOP_LIMIT_S = 60.0
BINLOG = "binlog"

Session: TypeAlias = "pymysql.Connection[pymysql.cursors.Cursor]"


@dataclass(frozen=True)
class Options:
    """Settings of a server. The three directories put a part of it on another disk; None leaves it in the data directory.

    ``sync_binlog`` 1 is what makes ``flush_log_at_trx_commit`` 1 durable: with a binary log, recovery rolls back prepared
    transactions that the binary log does not have.
    """

    flush_log_at_trx_commit: int = 1
    sync_binlog: int = 1
    binlog: bool = True
    buffer_pool_mib: int = 128
    redo_log_mib: int = 512
    redo_dir: Path | None = None
    binlog_dir: Path | None = None
    undo_dir: Path | None = None
    extra: tuple[str, ...] = ()


class MariaDB:
    """One server on one data directory. Methods raise LabError."""

    GTID = "SELECT @@GLOBAL.gtid_binlog_pos"
    """Asks how far its binary log goes."""

    def __init__(self, machine: Machine, datadir: Path, *, run_dir: Path, options: Options) -> None:
        """``run_dir`` is a directory of the server's own, outside of the disks: socket, pid file, error log, tmpdir."""
        self.datadir = datadir
        self.run_dir = run_dir
        self.socket = run_dir / "mysqld.sock"
        self.error_log = run_dir / "mysqld.err"
        self.options = options
        self._machine = machine
        self._user = server_user()
        self._process: Process | None = None

    def install(self) -> None:
        """Make the system tables in an empty data directory. Root needs no password on the socket."""
        directories = (self.datadir, self.options.redo_dir, self.options.binlog_dir, self.options.undo_dir)
        for directory in (directory for directory in directories if directory is not None):
            self._own(directory)
        self._own(self.run_dir)
        self._own(self.run_dir / "tmp")
        # A server that starts empties its tmpdir of temporary tables, those of a neighbour in /tmp, too.
        directories_of = (f"--datadir={self.datadir}", f"--tmpdir={self.run_dir / 'tmp'}")
        run(*self._installer(), *directories_of, *self._layout(), *self._user_option())

    def start(self) -> None:
        """Start the server and wait until it answers. When it ends instead, the error quotes its log."""
        self._own(self.run_dir)
        self._own(self.run_dir / "tmp")
        command = Command(f"the server on {self.datadir}", self._argv(), self.error_log)
        self._process = start_and_wait(self._machine, command, self._answers, START_LIMIT_S)

    def stop(self) -> None:
        """Shut down in order and wait. A server that does not run is no error."""
        if self._process is not None and self._process.running:
            self._process.terminate()
            self._process.wait(STOP_LIMIT_S)

    def kill(self) -> None:
        """Kill the server as a crash of it would."""
        if self._process is not None:
            self._process.kill()

    @property
    def process(self) -> Process:
        """The server's process. Raises LabError before the first start."""
        if self._process is None:
            raise LabError(f"the server on {self.datadir} has not been started")
        return self._process

    def connect(self, *, connect_timeout_s: float = 10.0) -> Session:
        """Open a session as root over the socket, with autocommit. Raises pymysql.err.MySQLError."""
        return pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True, connect_timeout=connect_timeout_s)

    def value(self, statement: str) -> object:
        """Return the first column of the first row, over a session of its own. Raises pymysql.err.MySQLError."""
        with self.connect() as session, session.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            return row[0] if row else None

    def last_log_lines(self, count: int) -> tuple[str, ...]:
        """Last lines of the server's error log."""
        return last_lines(self.error_log, count)

    def _answers(self) -> bool:
        # A bare socket first: a driver that fails to connect leaves its own to the garbage collector.
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(self.socket)) != 0:
                return False
        try:
            self.connect(connect_timeout_s=2.0).close()
        except pymysql.err.MySQLError:
            return False
        return True

    def _installer(self) -> list[str]:
        program = which("mariadb-install-db") or "mariadb-install-db"
        return [program, "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]

    def _program(self) -> list[str]:
        return [which("mariadbd") or "mariadbd", "--no-defaults"]

    def _argv(self) -> list[str]:
        options = self.options
        return [
            *self._program(),
            f"--datadir={self.datadir}",
            f"--socket={self.socket}",
            f"--pid-file={self.run_dir / 'mysqld.pid'}",
            f"--tmpdir={self.run_dir / 'tmp'}",
            "--skip-networking",
            f"--innodb-flush-log-at-trx-commit={options.flush_log_at_trx_commit}",
            f"--innodb-buffer-pool-size={options.buffer_pool_mib}M",
            *self._layout(),
            *self._binlog(),
            *self._user_option(),
            *options.extra,
        ]

    def _layout(self) -> list[str]:
        """Where InnoDB's files lie: the same when installing and when running."""
        options, layout = self.options, [f"--innodb-log-file-size={self.options.redo_log_mib}M"]
        if options.redo_dir:
            layout.append(f"--innodb-log-group-home-dir={options.redo_dir}")
        if options.undo_dir:
            layout += [f"--innodb-undo-directory={options.undo_dir}", "--innodb-undo-tablespaces=2"]
        return layout

    def _binlog(self) -> list[str]:
        if not self.options.binlog:
            return []
        base = (self.options.binlog_dir or self.datadir) / BINLOG
        return [
            f"--log-bin={base}",
            f"--sync-binlog={self.options.sync_binlog}",
            "--server-id=1",
            *self._gtids(),
        ]

    def _gtids(self) -> list[str]:
        return ["--gtid-strict-mode=1", "--binlog-format=ROW"]

    def _user_option(self) -> list[str]:
        return [f"--user={self._user}"] if self._user else []

    def _own(self, directory: Path) -> None:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self._user:
            shutil.chown(directory, self._user)


def server_user() -> str | None:
    """Name the user that a server started by root runs as: mysql, else nobody, else root. None when we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("mysql", "nobody") if name in names), "root")
