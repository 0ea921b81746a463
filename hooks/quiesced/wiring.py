"""Everything of one daemon, put together from its configuration."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quiesced import __version__, memory
from quiesced.auth import Gate
from quiesced.config import Config, load
from quiesced.errors import AlreadyRunningError
from quiesced.keeper import Keeper
from quiesced.logs import LogThread, set_up
from quiesced.quiescers import registry
from quiesced.quiescers.base import Quiescer
from quiesced.rehearsal import traces
from quiesced.server import App, HookServer
from quiesced.words import _, keep_to_english

log = logging.getLogger(__name__)


def configured(path: Path) -> tuple[Config, tuple[Quiescer, ...]]:
    """Read the configuration and build its applications' quiescers. Raises ConfigError."""
    config = load(path, registry.problems)
    return config, tuple(registry.build(application) for application in config.applications)


def heal(path: Path) -> None:
    """Let go of what a daemon that has ended left held. Raises ConfigError, AlreadyRunningError or OSError."""
    config, quiescers = configured(path)
    with _alone(config.state_dir):
        keeper = Keeper(config, quiescers)
        try:
            keeper.heal()
            traces.heal_unless_at_work(config, quiescers)
        finally:
            keeper.close()


def serve(path: Path) -> None:
    """Serve until SIGTERM or SIGINT, then let go of everything. Raises like ``heal`` when it cannot start."""
    memory.stay_small()
    config, quiescers = configured(path)
    with _alone(config.state_dir):
        keep_to_english()
        keeper = Keeper(config, quiescers)
        logs = LogThread(sys.stderr, quiet=lambda: keeper.status().state != "idle")
        set_up(logs)
        try:
            keeper.heal()
            traces.heal_unless_at_work(config, quiescers)
            _serve(config, keeper)
        finally:
            keeper.close()
            logs.stop()


def _serve(config: Config, keeper: Keeper) -> None:
    server = HookServer(config.listen, App(keeper, Gate(config.keys), tally=keeper.tally))

    def stop() -> None:
        # Writers first: stopping the server waits for its threads.
        keeper.close()
        server.stop()

    def start_to_stop(_number: int, _frame: object) -> None:
        # Not in the handler itself: it runs in the thread that serves, and that is waited for.
        threading.Thread(target=stop, name="stop", daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, start_to_stop)
    memory.give_back()
    log.info("serving", extra={"version": __version__, "host": config.listen.host, "port": server.port})
    server.serve()
    log.info("stopped")


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Make sure that no other daemon holds by this state directory; the kernel forgets the lock with the process.

    Opened for reading: what ``quiesced heal`` of root leaves must not keep the daemon, which is not root, from starting.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(str(state_dir / "lock"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(
                _("another quiesced is running with {state_dir}; stop it first", state_dir=state_dir)
            ) from error
        yield
    finally:
        os.close(fd)
