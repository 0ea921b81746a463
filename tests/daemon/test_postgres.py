"""A real PostgreSQL server is checked and held, and is as it was before, however its hold ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Scene
from quiesced.quiescers.postgres.quiescer import PostgresQuiescer
from quiesced.quiescers.postgres.session import Options, read_options
from tests.daemon import postgres
from tests.daemon.postgres import Server, needs_postgres
from tests.daemon.postgres_shop import (
    applied,
    base,
    prepare,
    quiescer,
    refusals,
    server,
    shop,
)
from tests.daemon.scenes import SCENE

pytestmark = [pytest.mark.lab, needs_postgres]
__all__ = ["base", "server", "shop"]  # the fixtures


def test_options_are_read_strictly() -> None:
    _, problems = read_options({"socket_dir": "run", "mode": "lock", "colour": "red"}, "application[0]")
    assert len(problems) == 4
    assert "mode: must be one of auto, freeze, backup_api" in " ".join(problems)


def test_a_healthy_server_is_refused_nothing_and_both_directories_are_found(server: Server, base: Path) -> None:
    report = quiescer(server).check(SCENE)
    assert (report.refusals, report.mode) == ((), "freeze")
    assert report.paths[:2] == (("data directory", str(server.datadir)), ("WAL", str(base / "cluster" / "wal")))
    assert report.version.startswith("PostgreSQL")


@pytest.mark.parametrize("role", ["data directory", "WAL", "tablespace cold"])
def test_a_path_outside_of_the_set_is_named_and_brings_the_backup_api(server: Server, base: Path, role: str) -> None:
    cold = postgres.own(base / "cold")
    with applied(server, f"CREATE TABLESPACE cold LOCATION '{cold}'", "DROP TABLESPACE cold"):
        where = dict(quiescer(server).check(SCENE).paths)[role]
        report = quiescer(server).check(Scene(covers=lambda path: str(path) != where))
    assert report.mode == "backup_api"
    assert f"{role} {where}" in report.mode_reason


def test_a_tablespace_of_temporary_files_only_is_scratch(server: Server, base: Path) -> None:
    hot = postgres.own(base / "hot")
    used, unused = (f"ALTER ROLE quiesced {what} temp_tablespaces" for what in ("SET", "RESET"))
    made = applied(server, f"CREATE TABLESPACE hot LOCATION '{hot}'", "DROP TABLESPACE hot")
    with made, applied(server, f"{used} = hot", unused):
        report = quiescer(server).check(SCENE)
    assert report.scratch == (("tablespace hot", str(hot)),)
    assert ("tablespace hot", str(hot)) not in report.paths


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("ALTER ROLE quiesced SET synchronous_commit = off", "ALTER ROLE quiesced RESET synchronous_commit"),
        ("ALTER ROLE postgres SET synchronous_commit = 'off'", "ALTER ROLE postgres RESET synchronous_commit"),
        ("ALTER DATABASE template1 SET synchronous_commit = 0", "ALTER DATABASE template1 RESET synchronous_commit"),
        (
            "ALTER ROLE postgres IN DATABASE postgres SET synchronous_commit = no",
            "ALTER ROLE postgres IN DATABASE postgres RESET synchronous_commit",
        ),
    ],
)
def test_commits_that_are_acknowledged_too_early_are_refused(server: Server, change: str, back: str) -> None:
    with applied(server, change, back):
        assert f"run {back}" in refusals(server)["not_durable"] or "set it to local" in refusals(server)["not_durable"]
        with pytest.raises(Refused, match="synchronous_commit"):
            prepare(server)
    assert not refusals(server)


@pytest.mark.parametrize(
    ("taken", "back", "advice"),
    [
        ("REVOKE pg_monitor FROM quiesced", "GRANT pg_monitor TO quiesced", "GRANT pg_monitor TO quiesced"),
        ("REVOKE pg_checkpoint FROM quiesced", "GRANT pg_checkpoint TO quiesced", "GRANT pg_checkpoint TO quiesced"),
        (
            "REVOKE EXECUTE ON FUNCTION pg_backup_stop(boolean) FROM quiesced",
            "GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO quiesced",
            "GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO quiesced",
        ),
    ],
)
def test_a_missing_privilege_is_named_with_its_grant(server: Server, taken: str, back: str, advice: str) -> None:
    with applied(server, taken, back):
        assert f"run {advice}" in refusals(server, mode="backup_api")["application_unreachable"]


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no socket") as caught:
        PostgresQuiescer("orders", Options(tmp_path, "quiesced")).check(SCENE)
    assert caught.value.code == "application_unreachable"
