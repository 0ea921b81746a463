"""Holding a real PostgreSQL server: what it witnesses, and that nothing stays whatever ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from quiesced.errors import Refused
from quiesced.messages import Witness
from quiesced.quiescers.base import HeldBy
from quiesced.quiescers.postgres.hold import PostgresHold
from quiesced.witness import gap_between, refusal_of
from tests.daemon.postgres import Server, needs_postgres
from tests.daemon.postgres_shop import (
    INSERT,
    base,
    budget,
    held,
    prepare,
    quiescer,
    server,
    shop,
)
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_postgres]
__all__ = ["base", "server", "shop"]  # the fixtures


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
