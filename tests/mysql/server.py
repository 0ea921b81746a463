"""A throw-away MySQL server: the program of ``scripts/mysql-server``, run outside the tree that it was installed in.

So its paths are those of this machine, as those of an installed server are.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.mariadb import START_LIMIT_S, Server
from tests.waiting import wait_until

TREE = Path(__file__).resolve().parents[2] / "build" / "mysql"
_LIBRARIES = TREE / "usr" / "lib" / "x86_64-linux-gnu"
_PROGRAM = [
    str(_LIBRARIES / "ld-linux-x86-64.so.2"),
    "--library-path",
    f"{_LIBRARIES}:{_LIBRARIES / 'mysql'}",
    str(TREE / "usr" / "sbin" / "mysqld"),
    "--no-defaults",
    "--user=root",
    f"--basedir={TREE / 'usr'}",
    f"--lc-messages-dir={TREE / 'usr' / 'share' / 'mysql'}",
    f"--plugin-dir={TREE / 'usr' / 'lib' / 'mysql' / 'plugin'}",
]


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
    argv += ["--secure-file-priv=NULL", "--loose-mysqlx=OFF", "--innodb-redo-log-capacity=32M", *options]
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
