"""A throw-away MySQL server, of the program that ``make mysql`` fetches."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quiesce_lab.engines.mysql import PROGRAM
from tests.daemon.mariadb import START_LIMIT_S, Server
from tests.waiting import wait_until

_PROGRAM = (*PROGRAM, "--user=root")


def install(datadir: Path) -> None:
    """Make an empty data directory, in which root has no password."""
    subprocess.run(
        [*_PROGRAM, "--initialize-insecure", f"--datadir={datadir}"], check=True, capture_output=True, timeout=120
    )


@contextmanager
def running(datadir: Path, *options: str) -> Iterator[Server]:
    """Run a server on a data directory made by ``install``."""
    socket, tmpdir = datadir.with_suffix(".sock"), datadir.with_suffix(".tmp")
    tmpdir.mkdir(exist_ok=True)
    argv = [*_PROGRAM, f"--datadir={datadir}", f"--socket={socket}", f"--pid-file={datadir / 'pid'}", f"--tmpdir={tmpdir}"]
    argv += ["--innodb-redo-log-capacity=32M", *options]
    with datadir.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    server = Server(socket, datadir, process)
    try:
        wait_until(server.answers, START_LIMIT_S)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
