"""Every path that a PostgreSQL server writes, from its own catalog, and what those paths mean for the way to hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quiesced.messages import Refusal
from quiesced.quiescers.base import Scene
from quiesced.quiescers.postgres.session import Options, Session
from quiesced.quiescers.postgres.wal import Wal

WAL = "WAL"
_WAL_SIZES = "SELECT pg_size_bytes(current_setting('wal_segment_size')), current_setting('wal_block_size')::int"

Paths = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Written:
    """(role, path) pairs: what a restore needs, what it does without; and what could not be looked at."""

    paths: Paths
    scratch: Paths
    refusals: tuple[Refusal, ...]


def written_paths(session: Session, name: str) -> Written:
    """Ask the server. Raises what LOST names."""
    data = Path(str(_setting(session, "data_directory")))
    places = [("data directory", data), (WAL, data / "pg_wal")]
    scratch = [*_logs(session, data), *_statistics(session, data)]
    for space, location, temporary in _tablespaces(session):
        (scratch if temporary else places).append((f"tablespace {space}", data / location))
    refusals: list[Refusal] = []
    return Written(_real(places, name, refusals), _real(scratch, name, []), tuple(refusals))


def wal_of(session: Session, paths: Paths) -> Wal:
    """Say where the WAL lies, and in what pieces. Raises what LOST names."""
    segment_bytes, page_bytes = session.rows(_WAL_SIZES)[0]
    return Wal(Path(dict(paths)[WAL]), int(segment_bytes), int(page_bytes))


def choose_mode(options: Options, written: Written, scene: Scene) -> tuple[str, str]:
    """Return the way to hold, and why: the freeze alone is a cut of everything only if everything lies on the set."""
    if options.mode != "auto":
        return options.mode, f'mode = "{options.mode}" in the configuration'
    outside = [f"{role} {path}" for role, path in written.paths if not scene.covers(Path(path))]
    if outside:
        return "backup_api", f"outside of the set: {', '.join(outside)}; a restore needs backup_label and archived WAL"
    return "freeze", "data directory, WAL and every tablespace lie on the set: the freeze cuts all of it at one moment"


def _real(places: Iterable[tuple[str, Path]], name: str, refusals: list[Refusal]) -> Paths:
    """Follow symbolic links: what counts is where the files are."""
    found = []
    for role, path in places:
        try:
            found.append((role, str(path.resolve(strict=True))))
        except OSError as error:
            found.append((role, str(path)))
            text = f"{name}: cannot see where the {role} {path} lies ({error.strerror}); let the daemon's user look there"
            refusals.append(Refusal("application_unreachable", text))
    return tuple(found)


def _setting(session: Session, name: str) -> object:
    """Return a setting from a view that hides what the user may not see, where SHOW would fail."""
    return session.value("SELECT setting FROM pg_settings WHERE name = :name", name=name)


def _logs(session: Session, data: Path) -> list[tuple[str, Path]]:
    if _setting(session, "logging_collector") != "on":
        return []
    return [("log", data / str(_setting(session, "log_directory")))]


def _statistics(session: Session, data: Path) -> list[tuple[str, Path]]:
    """Before version 15 statistics are written to files all the time."""
    directory = _setting(session, "stats_temp_directory")
    return [("statistics", data / str(directory))] if directory else []


_TABLESPACES = """
SELECT spcname, pg_tablespace_location(oid),
       spcname = ANY (string_to_array(replace(current_setting('temp_tablespaces'), ' ', ''), ','))
       AND NOT EXISTS (SELECT FROM pg_tablespace_databases(oid))
  FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '' ORDER BY spcname
"""


def _tablespaces(session: Session) -> list[tuple[str, str, bool]]:
    """Name, location, and whether temporary files are all that is in it."""
    return [(str(name), str(location), bool(temporary)) for name, location, temporary in session.rows(_TABLESPACES)]
