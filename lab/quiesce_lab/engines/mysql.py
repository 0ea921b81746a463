"""A MySQL server of the lab, where ``make mysql`` has fetched one; the rest is as with MariaDB.

It is Debian unstable's, in a tree of its own, and runs outside of it with the C library from there: so its paths are those
of this machine, as those of an installed server are.
"""

from __future__ import annotations

from pathlib import Path

from quiesce_lab.engines.mariadb import MariaDB
from quiesce_lab.engines.mariadb_app import MariaDBApplication
from quiesce_lab.errors import LabError

TREE = Path(__file__).resolve().parents[3] / "build" / "mysql"
_LIBRARIES = TREE / "usr" / "lib" / "x86_64-linux-gnu"
PROGRAM = (
    str(_LIBRARIES / "ld-linux-x86-64.so.2"),
    "--library-path",
    f"{_LIBRARIES}:{_LIBRARIES / 'mysql'}",
    str(TREE / "usr" / "sbin" / "mysqld"),
    "--no-defaults",
    f"--basedir={TREE / 'usr'}",
    f"--lc-messages-dir={TREE / 'usr' / 'share' / 'mysql'}",
    f"--plugin-dir={TREE / 'usr' / 'lib' / 'mysql' / 'plugin'}",
    "--secure-file-priv=NULL",
    "--loose-mysqlx=OFF",
)


def is_here() -> bool:
    """Whether there is a server to run."""
    return (TREE / "usr" / "sbin" / "mysqld").exists()


class MySQL(MariaDB):
    """See MariaDB."""

    GTID = "SELECT @@GLOBAL.gtid_executed"

    def _installer(self) -> list[str]:
        if not is_here():
            raise LabError("there is no MySQL server in build/mysql; run make mysql first")
        return [*PROGRAM, "--initialize-insecure"]

    def _program(self) -> list[str]:
        return list(PROGRAM)

    def _layout(self) -> list[str]:
        options = self.options
        layout = [f"--innodb-redo-log-capacity={options.redo_log_mib}M"]
        if options.redo_dir:
            layout.append(f"--innodb-log-group-home-dir={options.redo_dir}")
        if options.undo_dir:
            layout += [f"--innodb-undo-directory={options.undo_dir}", f"--innodb-directories={options.undo_dir}"]
        return layout

    def _gtids(self) -> list[str]:
        return ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"]


class MySQLApplication(MariaDBApplication):
    """See base.Application."""

    server_class = MySQL
