"""The daemon with one fault: ``python faulty_hook.py CONTROL serve --config FILE``. CONTROL is a file with the fault.

It is quiesced itself; around the steps of its hold and its routes lies what fires the fault. One process serves many
cases, for as long as it survives them.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "hooks"), str(HERE)]

import inject  # type: ignore[import-not-found]  # noqa: E402 - it lies beside this file

CONTROL = Path(sys.argv[1]) if __name__ == "__main__" else Path("/nonexistent")


def fault_that_is_set() -> Mapping[str, Any] | None:
    """Read the control file, which lies on tmpfs."""
    try:
        read: Mapping[str, Any] = json.loads(CONTROL.read_bytes())
    except (OSError, ValueError):
        return None
    return read


INJECTOR = inject.Injector(fault_that_is_set, of_threads=True)
if __name__ == "__main__":
    inject.bend_time(INJECTOR)

from quiesced import cli, freeze, keeper, server  # noqa: E402 - modules keep time.time as they find it
from quiesced.instance_hold import HoldStep, InstanceHold  # noqa: E402
from quiesced.quiescers import filesystem  # noqa: E402
from quiesced.quiescers.mysql import hold as mysql_hold  # noqa: E402
from quiesced.quiescers.mysql import redo  # noqa: E402
from quiesced.state import StateDir  # noqa: E402

# A preparation that nobody goes on with holds nobody up; hundreds of cases shall not wait for its end, though.
vars(keeper)["PREPARED_LIMIT_S"] = 3.0

MIDDLES: dict[HoldStep, tuple[object, str]] = {
    HoldStep.PREFLUSH: (filesystem.Filesystems, "sync"),  # the application is ready, the filesystems are not
    HoldStep.ARM: (InstanceHold, "_arm"),  # the state is stored, the guardian not yet there
    HoldStep.LOCK: (redo, "wait_until_durable"),  # locked, the redo log not yet on disk
    HoldStep.FREEZE: (freeze.Freezer, "settled"),  # the freeze is under way
    HoldStep.WITNESS: (filesystem.Filesystems, "witness"),  # applications seen, filesystems not yet
    HoldStep.THAW: (freeze.Freezer, "settled"),  # the thaw is under way
    HoldStep.UNLOCK: (mysql_hold, "undo"),  # unlocked, the setting not yet restored
}
"""What is called in the middle of each step of a hold."""


def wrap_steps() -> None:
    """Put the fault's moments around and into every step of a hold."""
    real = InstanceHold._step

    @contextmanager
    def step(hold: InstanceHold, name: HoldStep) -> Iterator[None]:
        with INJECTOR.step(name.value), real(hold, name):
            yield

    InstanceHold._step = step  # type: ignore[method-assign, assignment]
    for owner, name in set(MIDDLES.values()):
        wrap_middle(owner, name, *(step.value for step, middle in MIDDLES.items() if middle == (owner, name)))


def wrap_middle(owner: object, name: str, *steps: str) -> None:
    """Let the faults *during* some steps strike when this is called."""
    real: Callable[..., Any] = getattr(owner, name)

    def called(*arguments: Any, **named: Any) -> Any:
        with INJECTOR.middle(*steps):
            return real(*arguments, **named)

    setattr(owner, name, called)


def wrap_routes() -> None:
    """Put the fault's moments around every request, and into it once it has begun."""
    real = server.App._respond

    def respond(app: server.App, environ: dict[str, Any]) -> tuple[int, str, str, bytes]:
        try:
            with INJECTOR.step(environ["REQUEST_URI"]), INJECTOR.middle():
                return real(app, environ)
        except inject.PageError as page:
            return page.status, "", "text/html", page.body

    server.App._respond = respond  # type: ignore[method-assign, assignment]


def wrap_state() -> None:
    """Let the state directory be full while that is the fault."""
    real = StateDir._write

    def write(state: StateDir, path: Path, content: str) -> None:
        if INJECTOR.active("disk_full"):
            raise OSError(errno.ENOSPC, "injected", str(path))
        real(state, path, content)

    StateDir._write = write  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    wrap_steps()
    wrap_routes()
    wrap_state()
    sys.exit(cli.main(sys.argv[2:]))
