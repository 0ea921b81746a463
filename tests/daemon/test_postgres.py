"""A real PostgreSQL server is checked and held, and is as it was before, however its hold ended."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.messages import Witness
from quiesced.quiescers.base import Budget, HeldBy, Scene
from quiesced.quiescers.postgres import PostgresQuiescer
from quiesced.quiescers.postgres_hold import PostgresHold
from quiesced.quiescers.postgres_session import Options, read_options
from quiesced.witness import gap_between, refusal_of
from tests.daemon import postgres
from tests.daemon.postgres import Server, needs_postgres
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_postgres]
NOWHERE = Scene(covers=lambda _path: False)
INSERT = "INSERT INTO orders (item) VALUES ('book')"


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A directory that the server's user can reach."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def shop(base: Path) -> Iterator[Server]:
    datadir = postgres.install(base / "cluster", waldir=base / "cluster" / "wal")
    with postgres.running(datadir, run_dir=base / "run") as server:
        server.ask("CREATE TABLE orders (id SERIAL PRIMARY KEY, item TEXT)")
        server.ask("CREATE ROLE quiesced LOGIN")
        server.ask("GRANT pg_monitor, pg_checkpoint TO quiesced")
        server.ask("GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO quiesced")
        server.ask("GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO quiesced")
        yield server


@pytest.fixture
def server(shop: Server) -> Iterator[Server]:
    wait_until(lambda: not shop.sessions())
    yield shop
    for pid in shop.sessions():
        shop.ask(f"SELECT pg_terminate_backend({pid})")


def quiescer(server: Server, *, user: str = "quiesced", mode: str = "auto") -> PostgresQuiescer:
    return PostgresQuiescer("orders", Options(server.socket_dir, user, mode=mode))


def budget(acquire_s: float = 5.0, hold_s: float = 10.0) -> Budget:
    ends_s = time.monotonic() + acquire_s
    return Budget(lambda: max(0.0, ends_s - time.monotonic()), hold_s)


def prepare(server: Server, mode: str = "auto", leftovers: list[dict[str, object]] | None = None) -> PostgresHold:
    return quiescer(server, mode=mode).prepare(budget(), SCENE, ([] if leftovers is None else leftovers).append)


@contextmanager
def held(server: Server, mode: str = "auto") -> Iterator[PostgresHold]:
    hold = prepare(server, mode)
    try:
        hold.quiesce(budget())
        yield hold
    finally:
        hold.release()


@contextmanager
def applied(server: Server, do: str, undo: str) -> Iterator[None]:
    server.ask(do)
    try:
        yield
    finally:
        server.ask(undo)


def refusals(server: Server, **given: str) -> dict[str, str]:
    return {refusal.code: refusal.message for refusal in quiescer(server, **given).check(SCENE).refusals}


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


@pytest.mark.parametrize("mode", ["freeze", "backup_api"])
def test_two_looks_at_a_server_that_writes_nothing_show_one_hold(server: Server, mode: str) -> None:
    server.ask(INSERT)
    with held(server, mode) as hold:
        first, second = Witness((hold.witness(),), ()), Witness((hold.witness(),), ())
    assert (refusal_of(first), gap_between(first, second)) == (None, "")
    seen = first.applications[0]
    assert (seen.held_by, seen.mode) == (HeldBy.FREEZE.value, mode)
    assert ("backup_start_lsn" in seen.position) == (mode == "backup_api")


def test_the_position_is_where_the_wal_ends_on_disk_however_far_the_server_says_it_has_written(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ask(INSERT)
    with held(server) as hold:
        short = server.value("SELECT pg_current_wal_lsn()::text")
        server.ask(INSERT)
        end = server.value("SELECT pg_current_wal_lsn()::text")
        monkeypatch.setattr(hold, "_look", lambda *_: {"wal_lsn": short, "timeline": "1"})
        seen = hold.witness()
    assert short != end
    assert seen.position["wal_lsn"] == end
    assert f"found the WAL at {short}, and on disk it ends at {end}" in seen.lock_evidence


@contextmanager
def silent(hold: PostgresHold) -> Iterator[None]:
    """Keep the session's own backend from answering."""
    os.kill(hold.session.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(hold.session.pid, signal.SIGCONT)


def test_a_server_that_is_silent_at_the_last_look_is_judged_by_its_files(server: Server) -> None:
    server.ask(INSERT)
    with held(server, "freeze") as hold:
        first = Witness((hold.witness(),), ())
        with silent(hold):
            second = Witness((hold.witness(),), ())
    assert (refusal_of(second), gap_between(first, second)) == (None, "")
    assert "it was silent for 0.25 s, its session is open" in second.applications[0].lock_evidence


@pytest.mark.parametrize(("mode", "commits"), [("freeze", True), ("backup_api", False)])
def test_a_silent_server_is_not_believed_when_its_files_moved_or_its_session_matters(
    server: Server, mode: str, commits: bool
) -> None:
    with held(server, mode) as hold:
        first = Witness((hold.witness(),), ())
        server.ask(INSERT if commits else "SELECT 1")
        with silent(hold):
            second = Witness((hold.witness(),), ())
    assert "no longer answers" in gap_between(first, second)


def test_a_commit_between_two_looks_moves_the_position(server: Server) -> None:
    with held(server) as hold:
        first = Witness((hold.witness(),), ())
        server.ask(INSERT)
        second = Witness((hold.witness(),), ())
    assert "the position moved" in gap_between(first, second)


def test_a_server_whose_position_never_rests_is_not_shown_to_be_held(server: Server) -> None:
    with held(server) as hold, closing(server.connect()) as writer:
        hold._sleep = lambda _s: (writer.run(INSERT) and None) or None
        seen = hold.witness()
    assert not seen.lock_shown
    assert "still moved" in seen.lock_evidence


def test_what_was_committed_without_waiting_is_on_disk_once_quiesced(server: Server) -> None:
    hold = prepare(server)
    try:
        with closing(server.connect()) as writer:
            writer.run("SET synchronous_commit = off")
            writer.run(INSERT)
            lsn = (writer.run("SELECT pg_current_wal_insert_lsn()::text") or [[""]])[0][0]
            hold.quiesce(budget())
        assert server.value(f"SELECT pg_current_wal_flush_lsn() >= '{lsn}'::pg_lsn")
        assert hold.witness().durable
    finally:
        hold.release()


def test_writers_go_on_while_only_the_session_holds(server: Server) -> None:
    with held(server, "backup_api"):
        server.ask(INSERT)


def test_the_label_of_a_backup_is_attached_after_the_release(server: Server) -> None:
    hold = prepare(server, "backup_api")
    assert not hold.attachments()
    hold.quiesce(budget())
    start = hold.witness().position["backup_start_lsn"]
    hold.release()
    first = dict(hold.attachments())
    hold.release()
    assert f"START WAL LOCATION: {start}" in first["backup_label"]
    assert hold.attachments() == first


def test_no_time_left_is_refused_and_leaves_nothing(server: Server) -> None:
    hold = prepare(server, "backup_api")
    with pytest.raises(Refused) as caught:
        hold.quiesce(budget(acquire_s=0.0))
    assert caught.value.code == "acquire_timeout"
    wait_until(lambda: not server.sessions())


def test_the_server_itself_ends_a_session_that_is_forgotten(server: Server) -> None:
    with held(server) as hold:
        assert hold.session.value("SHOW idle_session_timeout") != "0"


def _release(times: int) -> Callable[[Server, PostgresHold, dict[str, object]], None]:
    def end(_server: Server, hold: PostgresHold, _leftover: dict[str, object]) -> None:
        for _ in range(times):
            hold.release()

    return end


def _die(server: Server, hold: PostgresHold, leftover: dict[str, object]) -> None:
    """What the kernel does to a process that dies, and then the successor."""
    hold.session.abort()
    quiescer(server).heal(leftover)


def _hang(server: Server, hold: PostgresHold, leftover: dict[str, object]) -> None:
    """The process hangs with its socket open; the successor comes all the same."""
    quiescer(server).heal(leftover)


def _kill_then_release(server: Server, hold: PostgresHold, _leftover: dict[str, object]) -> None:
    server.ask(f"SELECT pg_terminate_backend({hold.session.pid})")
    hold.release()


ENDS = {
    "released": _release(1),
    "released twice": _release(2),
    "session killed, then released": _kill_then_release,
    "died": _die,
    "hung": _hang,
}


@pytest.mark.parametrize("mode", ["freeze", "backup_api"])
@pytest.mark.parametrize("quiesce", [False, True], ids=["before the hold", "during the hold"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_whatever_ends_it_nothing_stays_held(
    server: Server, end: Callable[[Server, PostgresHold, dict[str, object]], None], quiesce: bool, mode: str
) -> None:
    leftovers: list[dict[str, object]] = []
    hold = prepare(server, mode, leftovers)
    try:
        if quiesce:
            hold.quiesce(budget())
        end(server, hold, leftovers[0])
        wait_until(lambda: not server.sessions())
        assert not hold.witness().session_alive
        server.ask(INSERT)
        with held(server, mode) as after:
            assert after.witness().lock_shown
    finally:
        hold.release()


def test_healing_does_not_touch_a_session_of_somebody_else(server: Server) -> None:
    leftovers: list[dict[str, object]] = []
    prepare(server, leftovers=leftovers).release()
    with closing(server.connect("quiesced")) as stranger:
        pid = (stranger.run("SELECT pg_backend_pid()") or [[0]])[0][0]
        quiescer(server).heal({**leftovers[0], "pid": pid})
        assert stranger.run("SELECT 1") == [[1]]


def test_a_prepare_that_cannot_be_registered_leaves_nothing(server: Server) -> None:
    def full(_leftover: dict[str, object]) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        quiescer(server).prepare(budget(), SCENE, full)
    wait_until(lambda: not server.sessions())
