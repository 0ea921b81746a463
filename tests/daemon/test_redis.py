"""A real Redis server is held: what waits, what is seen, what is refused, and what is on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Optional

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget, HeldBy
from quiesced.quiescers.redis.hold import RedisHold
from quiesced.quiescers.redis.quiescer import RedisQuiescer
from quiesced.quiescers.redis.session import Options
from tests.daemon.redis_server import Server, needs_redis, running
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = needs_redis

AOF = ("--appendonly", "yes", "--save", "", "--appendfsync", "everysec")
RDB = ("--appendonly", "no", "--save", "")


@pytest.fixture(params=[AOF, RDB], ids=["appendonly", "dumps"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(tmp_path / "redis", *request.param) as made:
        yield made


@pytest.fixture
def aof(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "redis", *AOF) as made:
        yield made


def quiescer(server: Server, user: Optional[str] = None, password: Optional[str] = None) -> RedisQuiescer:
    return RedisQuiescer("cache", Options(server.socket, user, password))


def budget(acquire_s: float = 2.0, hold_s: float = 10.0) -> Budget:
    ends_s = time.monotonic() + acquire_s
    return Budget(lambda: max(0.0, ends_s - time.monotonic()), hold_s)


@contextmanager
def held(server: Server, hold_s: float = 10.0, acquire_s: float = 2.0) -> Iterator[RedisHold]:
    hold = quiescer(server).prepare(budget(), SCENE, lambda _leftover: None)
    try:
        hold.quiesce(budget(acquire_s, hold_s))
        yield hold
    finally:
        hold.release()


def test_writes_wait_while_it_holds_and_go_on_when_it_lets_go(server: Server) -> None:
    client = server.client()
    client.set("before", 1)
    written: list[float] = []

    def write() -> None:
        server.client().set("during", 2)
        written.append(time.monotonic())

    with held(server):
        writer = threading.Thread(target=write)
        writer.start()
        wait_until(lambda: client.info("clients")["blocked_clients"] == 2)  # the probe, and the writer
        assert client.get("before") == "1"  # readers go on
        let_go = time.monotonic()
        assert not written
    writer.join(5)
    assert written[0] > let_go
    assert server.client().get("during") == "2"


def test_the_witness_shows_the_pause_the_position_and_that_all_is_in_a_file(server: Server) -> None:
    server.client().set("before", 1)
    with held(server) as hold:
        first, second = hold.witness(), hold.witness()
    assert first == second
    assert first.session_alive and first.lock_shown and first.durable
    assert first.session == server.client().info("server")["run_id"]
    assert (first.held_by, hold.held_by, first.mode_reason != "") == ("lock", HeldBy.LOCK, True)
    assert set(first.position) - {"aof_size", "changes_since_dump"} == {"replication_id", "offset"}


def test_the_position_moves_between_holds(aof: Server) -> None:
    with held(aof) as hold:
        first = hold.witness()
    aof.client().set("between", 1)
    with held(aof) as hold:
        assert hold.witness().position != first.position


def test_a_key_that_expires_during_the_hold_moves_nothing(server: Server) -> None:
    server.client().set("short-lived", 1, px=150)
    with held(server) as hold:
        first = hold.witness()
        wait_until(lambda: server.client().get("short-lived") is None)
        assert hold.witness() == first


def test_somebody_else_who_ends_the_pause_is_noticed_even_when_they_pause_again(server: Server) -> None:
    with held(server) as hold:
        server.client().execute_command("CLIENT UNPAUSE")
        server.client().execute_command("CLIENT PAUSE", 5000, "WRITE")
        witness = hold.witness()
    assert not witness.lock_shown
    assert "was answered" in witness.lock_evidence
    assert not server.writes_wait()


def test_the_server_lets_go_by_itself_when_the_holder_says_nothing(server: Server) -> None:
    with held(server, hold_s=0.5, acquire_s=1.0) as hold:
        assert server.writes_wait()
        wait_until(lambda: not server.writes_wait(), timeout_s=5)
        assert not hold.witness().lock_shown


def test_all_that_was_acknowledged_is_found_by_a_second_server_on_a_copy(server: Server, tmp_path: Path) -> None:
    client = server.client()
    for number in range(500):
        client.set(f"key-{number}", number)
    options = AOF if client.config_get("appendonly")["appendonly"] == "yes" else RDB
    with held(server):
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in sorted(server.home.rglob("*")):
            target = copy / file.relative_to(server.home)
            target.mkdir(exist_ok=True) if file.is_dir() else target.write_bytes(file.read_bytes())
    with running(copy, *options) as second:
        assert second.client().dbsize() == 500


Fault = Callable[[Server], None]


@pytest.mark.parametrize("releases", [1, 2, 0], ids=["released once", "released twice", "never released"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_server_that_dies_is_told_from_one_that_holds_and_nothing_stays_paused(
    tmp_path: Path, when: str, releases: int
) -> None:
    with ExitStack() as servers:
        server = servers.enter_context(running(tmp_path / "redis", *AOF))
        server.client().set("before", 1)
        hold = quiescer(server).prepare(budget(), SCENE, lambda _leftover: None)
        if when == "before":
            server.kill()
            with pytest.raises(Refused) as raised:
                hold.quiesce(budget())
            assert raised.value.code == "application_unreachable"
        else:
            hold.quiesce(budget(hold_s=1.0, acquire_s=1.0))
            assert hold.witness().lock_shown
            if when == "during":
                server.kill()
                assert (hold.witness().session_alive, hold.witness().lock_shown, hold.witness().position) == (
                    False,
                    False,
                    {},
                )
        for _ in range(releases):
            hold.release()
        if when == "after":
            server.kill()
            hold.release()
            assert not hold.witness().lock_shown
        again = servers.enter_context(running(tmp_path / "redis", *AOF))
        assert not again.writes_wait()
        assert again.client().get("before") == "1"


def test_never_released_it_ends_within_the_stall_budget(server: Server) -> None:
    hold = quiescer(server).prepare(budget(), SCENE, lambda _leftover: None)
    hold.quiesce(budget(acquire_s=0.5, hold_s=0.5))
    wait_until(lambda: not server.writes_wait(), timeout_s=5)
    hold.release()
    wait_until(lambda: not server.clients())


def test_the_next_daemon_ends_the_pause_of_a_dead_one_and_leaves_a_restarted_server_alone(tmp_path: Path) -> None:
    with running(tmp_path / "redis", *AOF) as server:
        leftovers: list[dict[str, object]] = []
        hold = quiescer(server).prepare(budget(), SCENE, leftovers.append)
        hold.quiesce(budget())
        assert server.writes_wait()
        quiescer(server).heal(leftovers[-1])
        assert not server.writes_wait()
        server.client().execute_command("CLIENT PAUSE", 5000, "WRITE")
        quiescer(server).heal({"run_id": "that of an earlier process"})
        assert server.writes_wait()
        hold.release()


def test_a_release_over_a_dead_connection_ends_the_pause_over_a_new_one(server: Server) -> None:
    with held(server):
        with server.client() as administrator:
            administrator.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
        assert server.writes_wait()
    assert not server.writes_wait()


@pytest.fixture
def replica(aof: Server, tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "second", *AOF, "--replicaof", "127.0.0.1 1") as made:
        yield made


def test_a_replica_is_refused_with_the_name_of_its_primary(replica: Server) -> None:
    refused = quiescer(replica).check(SCENE).refusals
    assert [(refusal.code, "replica of 127.0.0.1:1" in refusal.message) for refusal in refused] == [("blocked", True)]
    with pytest.raises(Refused, match="snapshot the primary"):
        quiescer(replica).prepare(budget(), SCENE, lambda _leftover: None)


def test_a_pause_of_somebody_else_is_left_alone_and_refuses_the_hold(server: Server) -> None:
    server.client().execute_command("CLIENT PAUSE", 3000, "WRITE")
    with pytest.raises(Refused, match="paused already") as raised:
        quiescer(server).prepare(budget(), SCENE, lambda _leftover: None)
    assert raised.value.code == "blocked"
    assert server.writes_wait()
    wait_until(lambda: len(server.clients()) == 0)


def test_dumps_that_do_not_get_done_are_refused_and_writes_go_on(tmp_path: Path) -> None:
    with running(tmp_path / "redis", *RDB) as server:
        hold = quiescer(server).prepare(budget(), SCENE, lambda _leftover: None)
        server.client().set("since the dump", 1)
        server.client().config_set("rdb-key-save-delay", 1_500_000)
        with pytest.raises(Refused) as raised:
            hold.quiesce(budget(acquire_s=0.3))
        assert raised.value.code == "not_durable"
        assert not server.writes_wait()


def test_a_last_write_or_dump_that_failed_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "redis", *RDB) as server:
        server.client().set("something", 1)
        (server.home / "dump.rdb").mkdir()  # a dump cannot be renamed to this
        server.client().bgsave()
        wait_until(lambda: server.client().info("persistence")["rdb_last_bgsave_status"] == "err")
        assert [refusal.code for refusal in quiescer(server).check(SCENE).refusals] == ["not_durable"]
        (server.home / "dump.rdb").rmdir()


def test_every_place_that_it_persists_to_is_listed(aof: Server) -> None:
    report = quiescer(aof).check(SCENE)
    home = aof.home
    assert report.refusals == ()
    assert report.paths == (
        ("dir", str(home)),
        ("dbfilename", str(home / "dump.rdb")),
        ("appenddirname", str(home / "appendonlydir")),
    )
    assert (report.version[:2], report.mode) == ("7.", "aof")


def test_a_user_without_the_right_to_pause_is_told_so(server: Server) -> None:
    server.client().execute_command("ACL", "SETUSER", "looker", "on", ">a-password", "~*", "+@all", "-client|pause")
    hold = quiescer(server, "looker", "a-password").prepare(budget(), SCENE, lambda _leftover: None)
    with pytest.raises(Refused, match="client\\|pause") as raised:
        hold.quiesce(budget())
    assert raised.value.code == "application_unreachable"
    with pytest.raises(Refused):
        quiescer(server, "looker", "wrong").check(SCENE)


def test_no_server_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Refused) as raised:
        RedisQuiescer("cache", Options(tmp_path / "no.sock", None, None)).check(SCENE)
    assert raised.value.code == "application_unreachable"


def test_nothing_of_ours_stays_connected(server: Server) -> None:
    with held(server):
        assert len(server.clients()) == 2
    wait_until(lambda: not server.clients())
