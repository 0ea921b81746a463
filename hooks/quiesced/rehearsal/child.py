"""The holder that a rehearsal kills: the service's keeper in a process of its own, asked over a pipe instead of HTTP.

started as  main([configuration file, state directory])
reads       ``<path of hooks/PROTOCOL.md> <message as JSON>`` per line
says        the answer as one line of JSON
ends        at the end of its input, and lets go then
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Callable

from quiesced import decode, wiring
from quiesced.keeper import Keeper
from quiesced.logs import LogThread, set_up
from quiesced.words import keep_to_english


def main(arguments: list[str]) -> None:
    """Answer until the input ends. Raises ConfigError."""
    config_path, state_dir = map(Path, arguments)
    keep_to_english()
    with _keeper(config_path, state_dir) as keeper:
        answers: dict[str, Callable[[bytes], decode.Answer]] = {
            "/v1/check": lambda body: keeper.check(decode.check_request(body)),
            "/v1/quiesce": lambda body: keeper.quiesce(decode.quiesce_request(body)),
            "/v1/release": lambda body: keeper.release(decode.release_request(body)),
        }
        for line in sys.stdin:
            path, _, message = line.partition(" ")
            sys.stdout.write(decode.encode(answers[path](message.encode())).decode() + "\n")
            sys.stdout.flush()


@contextmanager
def _keeper(config_path: Path, state_dir: Path) -> Iterator[Keeper]:
    config, quiescers = wiring.configured(config_path)
    keeper = Keeper(replace(config, state_dir=state_dir), quiescers)
    logs = LogThread(sys.stderr, quiet=lambda: keeper.status().state != "idle")
    set_up(logs)
    try:
        keeper.heal()
        yield keeper
    finally:
        keeper.close()
        logs.stop()
