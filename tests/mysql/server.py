"""A throw-away MySQL server, of the program that ``make mysql`` fetches."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quiesce_lab.engines.mysql import PROGRAM
from tests.daemon.mariadb import Server, serving, tmpdir_of

_PROGRAM = (*PROGRAM, "--user=root")


def install(datadir: Path) -> None:
    """Make an empty data directory, in which root has no password."""
    argv = [*_PROGRAM, "--initialize-insecure", f"--datadir={datadir}"]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)


@contextmanager
def running(datadir: Path, *options: str) -> Iterator[Server]:
    """Run a server on a data directory made by ``install``."""
    argv = [*_PROGRAM, f"--tmpdir={tmpdir_of(datadir)}", "--innodb-redo-log-capacity=32M"]
    with serving(argv, datadir, *options) as server:
        yield server
