"""Everything of one daemon, put together from its configuration."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from quiesced import __version__
from quiesced.auth import Gate
from quiesced.config import Config, load
from quiesced.keeper import Keeper
from quiesced.logs import LogThread, set_up
from quiesced.quiescers import registry
from quiesced.quiescers.base import Quiescer
from quiesced.server import App, HookServer

log = logging.getLogger(__name__)


def configured(path: Path) -> tuple[Config, tuple[Quiescer, ...]]:
    """Read the configuration and build its applications' quiescers. Raises ConfigError."""
    config = load(path, registry.problems)
    return config, tuple(registry.build(application) for application in config.applications)


def heal(path: Path) -> None:
    """Let go of what a daemon that has ended left held. Raises ConfigError or OSError."""
    config, quiescers = configured(path)
    keeper = Keeper(config, quiescers)
    keeper.heal()
    keeper.close()


def serve(path: Path) -> None:
    """Serve until SIGTERM or SIGINT, then let go of everything. Raises ConfigError or OSError before serving."""
    config, quiescers = configured(path)
    keeper = Keeper(config, quiescers)
    logs = LogThread(sys.stderr, quiet=lambda: keeper.status().state != "idle")
    set_up(logs)
    try:
        keeper.heal()
        _serve(config, keeper)
    finally:
        keeper.close()
        logs.stop()


def _serve(config: Config, keeper: Keeper) -> None:
    server = HookServer(config.listen, App(keeper, Gate(config.keys)))

    def stop(_number: int, _frame: object) -> None:
        # Not in the handler itself: the server waits for threads, and this is the thread that serves.
        threading.Thread(target=server.stop, name="stop", daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("serving", extra={"version": __version__, "host": config.listen.host, "port": server.port})
    server.serve()
    log.info("stopped")
