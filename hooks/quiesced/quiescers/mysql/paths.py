"""Every path that a MySQL or MariaDB server writes, from what the running server says and what its datadir links to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from quiesced.messages import Refusal
from quiesced.quiescers.mysql.session import LOST, Session

MAX_ENTRIES = 500_000
"""Files looked at in a datadir: a second or two; more than that is refused rather than half seen."""
_DIRECTORIES = (
    "datadir",
    "innodb_data_home_dir",
    "innodb_log_group_home_dir",
    "innodb_undo_directory",
    "innodb_doublewrite_dir",
    "aria_log_dir_path",
)
_FILES = ("log_bin_basename", "log_bin_index", "relay_log_basename", "relay_log_index")
_TABLESPACES = (
    "SELECT filename FROM information_schema.innodb_sys_tablespaces WHERE filename LIKE '/%'",  # MariaDB since 10.6
    "SELECT path FROM information_schema.innodb_sys_datafiles WHERE path LIKE '/%'",  # MariaDB before
    "SELECT path FROM information_schema.innodb_datafiles WHERE path LIKE '/%'",  # MySQL
)

_SCRATCH = ("tmpdir", "innodb_tmpdir", "slave_load_tmpdir", "replica_load_tmpdir")
_OTHER_ENGINES = {".MYD": "MyISAM", ".MAD": "Aria", ".ARZ": "Archive", ".CSV": "CSV", ".MRG": "Merge"}
_OTHER_DIRECTORIES = {".rocksdb": "MyRocks", "#rocksdb": "MyRocks"}
"""Of Percona Server and of MariaDB, where they have no other place of their own."""
_SYSTEM = ("mysql", "sys", "performance_schema")

Paths = tuple[tuple[str, str], ...]


def written_paths(control: Session, name: str) -> tuple[Paths, tuple[Refusal, ...]]:
    """Return (role, absolute path) pairs, and a refusal when they cannot all be known. Raises what LOST names."""
    variables = control.named("SHOW GLOBAL VARIABLES")
    datadir = Path(variables["datadir"])
    found = [*_configured(variables, datadir), *_tablespaces(control)]
    refusals: tuple[Refusal, ...] = ()
    try:
        found.extend(_links(datadir))
    except OSError as error:
        refusals = (Refusal("application_unreachable", f"{name}: cannot search the datadir for links: {error}"),)
    return _outside_of(datadir, found), refusals


def scratch_paths(control: Session) -> Paths:
    """Return (role, absolute path) pairs of what a restore does without. Raises what LOST names."""
    variables = control.named("SHOW GLOBAL VARIABLES LIKE '%tmpdir'")
    listed = ((role, part) for role in _SCRATCH for part in variables.get(role, "").split(":"))
    return tuple((role, part) for role, part in listed if part.startswith("/"))


def other_engines(datadir: Path) -> str:
    """Name a file or directory of an engine other than InnoDB, outside the server's own databases; empty if there is none.

    Asked of the files, because information_schema lists only tables that this user has a privilege on. Raises OSError.
    """
    for directory in _databases(datadir):
        if directory.name in _OTHER_DIRECTORIES:
            return f"{directory.name} ({_OTHER_DIRECTORIES[directory.name]})"
        if directory.name not in _SYSTEM:
            with os.scandir(directory) as entries:
                found = next((e.name for e in entries if Path(e.name).suffix in _OTHER_ENGINES), "")
            if found:
                return f"{directory.name}/{found} ({_OTHER_ENGINES[Path(found).suffix]})"
    return ""


def _configured(variables: dict[str, str], datadir: Path) -> Iterator[tuple[str, Path]]:
    for role in _DIRECTORIES:
        if variables.get(role):
            yield role, _absolute(variables[role], datadir)
    for role in _FILES:
        if variables.get(role):
            yield role, _absolute(variables[role], datadir).parent
    for entry in variables.get("innodb_data_file_path", "").split(";"):
        file = entry.partition(":")[0]
        if file.startswith("/"):
            yield "innodb_data_file_path", Path(file)


def _tablespaces(control: Session) -> list[tuple[str, Path]]:
    """List tablespaces outside of the datadir. Raises what LOST names when no version's way of asking works."""
    *others, last = _TABLESPACES
    for query in others:
        try:
            return [("tablespace", Path(str(row[0]))) for row in control.rows(query)]
        except LOST:
            continue
    return [("tablespace", Path(str(row[0]))) for row in control.rows(last)]


def _links(datadir: Path) -> Iterator[tuple[str, Path]]:
    """Follow symbolic links (MyISAM, Aria, whole databases) and *.isl files (InnoDB) in the datadir. Raises OSError."""
    seen = 0
    for directory in (datadir, *_databases(datadir)):
        with os.scandir(directory) as entries:
            for entry in entries:
                seen += 1
                if entry.is_symlink():
                    yield "link", Path(os.path.realpath(entry.path))
                elif entry.name.endswith(".isl"):
                    yield "tablespace", Path(Path(entry.path).read_text(encoding="utf-8").strip())
        if seen > MAX_ENTRIES:
            raise OSError(f"more than {MAX_ENTRIES} files in {datadir}")


def _databases(datadir: Path) -> list[Path]:
    with os.scandir(datadir) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]


def _absolute(value: str, datadir: Path) -> Path:
    """Resolve a path as the server does: relative to its datadir."""
    return Path(os.path.normpath(datadir / value))


def _outside_of(datadir: Path, found: list[tuple[str, Path]]) -> Paths:
    """Keep each path once, and of those below the datadir's own filesystem tree only what was configured as such."""
    kept: dict[tuple[str, str], None] = {}
    home = os.path.realpath(datadir) + os.sep
    for role, path in found:
        if role not in ("tablespace", "link") or not (os.path.realpath(path) + os.sep).startswith(home):
            kept[(role, str(path))] = None
    return tuple(kept)
