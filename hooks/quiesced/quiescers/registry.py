"""Which engines there are; files of no application are held by the freeze (quiescers/filesystem).

A new one is a package with ``read_options`` and a quiescer, and two places here.
"""

from __future__ import annotations

from typing import Callable

from quiesced.config import ApplicationConfig
from quiesced.quiescers import sqlite
from quiesced.quiescers.base import Quiescer
from quiesced.quiescers.script import files as script_files
from quiesced.quiescers.script import hold as script_hold
from quiesced.quiescers.script import quiescer as script_quiescer
from quiesced.words import _

Built = tuple[Quiescer, tuple[str, ...]]


def _mysql(application: ApplicationConfig, path: str) -> Built:
    from quiesced.quiescers.mysql import quiescer, session  # noqa: PLC0415 - only who configures it pays for its driver

    options, found = session.read_options(application.options, path)
    return quiescer.MysqlQuiescer(application.name, options), found


def _redis(application: ApplicationConfig, path: str) -> Built:
    from quiesced.quiescers.redis import quiescer, session  # noqa: PLC0415 - its driver costs 8 MB and 0.1 s

    options, found = session.read_options(application.options, path)
    return quiescer.RedisQuiescer(application.name, options), found


def _sqlite(application: ApplicationConfig, path: str) -> Built:
    options, found = sqlite.read_options(application.options, path)
    return sqlite.SqliteQuiescer(application.name, options), found


def _script(application: ApplicationConfig, path: str) -> Built:
    options, found = script_files.read_options(application.options, path)
    return script_quiescer.ScriptQuiescer(application.name, options), found


def _postgres(application: ApplicationConfig, path: str) -> Built:
    from quiesced.quiescers.postgres import quiescer, session  # noqa: PLC0415 - only who configures it pays for its driver

    options, found = session.read_options(application.options, path)
    return quiescer.PostgresQuiescer(application.name, options), found


ENGINES: dict[str, Callable[[ApplicationConfig, str], Built]] = {
    "mysql": _mysql,
    "redis": _redis,
    sqlite.ENGINE: _sqlite,
    script_hold.ENGINE: _script,
    "postgres": _postgres,
}


def problems(application: ApplicationConfig, path: str) -> tuple[str, ...]:
    """Name everything that is wrong with an application's engine or options; ``path`` is its place in the file."""
    if application.engine not in ENGINES:
        return (f"{path}.engine: " + _("must be one of {words}", words=", ".join(ENGINES)),)
    return ENGINES[application.engine](application, path)[1]


def build(application: ApplicationConfig) -> Quiescer:
    """Build the quiescer of an application that has no problems."""
    return ENGINES[application.engine](application, application.name)[0]
