"""A PostgreSQL server with a table, a user for the daemon, and holds of it, for tests."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quiesced.quiescers.base import Budget, Scene
from quiesced.quiescers.postgres.hold import PostgresHold
from quiesced.quiescers.postgres.quiescer import PostgresQuiescer
from quiesced.quiescers.postgres.session import Options
from tests.daemon import postgres
from tests.daemon.postgres import Server
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

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
        open_shop(server)
        yield server


def open_shop(server: Server) -> None:
    """Make the table, and the role as quiesced.example.toml has it."""
    server.ask("CREATE TABLE orders (id SERIAL PRIMARY KEY, item TEXT)")
    server.ask("CREATE ROLE quiesced LOGIN")
    server.ask("GRANT pg_monitor, pg_checkpoint TO quiesced")
    server.ask("GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO quiesced")
    server.ask("GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO quiesced")


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
