"""Which engines there are. A new one is a module with ``read_options`` and a quiescer, and one line here."""

from __future__ import annotations

from typing import Callable

from quiesced.config import ApplicationConfig
from quiesced.quiescers import mysql_session, sqlite
from quiesced.quiescers.base import Quiescer
from quiesced.quiescers.mysql import MysqlQuiescer


def _mysql(application: ApplicationConfig, path: str) -> tuple[Quiescer, tuple[str, ...]]:
    options, problems = mysql_session.read_options(application.options, path)
    return MysqlQuiescer(application.name, options), problems


def _sqlite(application: ApplicationConfig, path: str) -> tuple[Quiescer, tuple[str, ...]]:
    options, problems = sqlite.read_options(application.options, path)
    return sqlite.SqliteQuiescer(application.name, options), problems


ENGINES: dict[str, Callable[[ApplicationConfig, str], tuple[Quiescer, tuple[str, ...]]]] = {
    "mysql": _mysql,
    "sqlite": _sqlite,
}


def problems(application: ApplicationConfig, path: str) -> tuple[str, ...]:
    """Name everything that is wrong with an application's engine or options."""
    if application.engine not in ENGINES:
        return (f"{path}.engine: must be one of {', '.join(ENGINES)}",)
    return ENGINES[application.engine](application, path)[1]


def build(application: ApplicationConfig) -> Quiescer:
    """Build the quiescer of an application whose options have no problems."""
    return ENGINES[application.engine](application, application.name)[0]
