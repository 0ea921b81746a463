"""The function with one fault, the variable FAULT: laid in the place of index.py, with inject.py beside it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import inject  # type: ignore[import-not-found]

FAULT: Mapping[str, Any] | None = json.loads(os.environ.get("FAULT", "null"))
INJECTOR = inject.Injector(lambda: FAULT, of_threads=False)
if FAULT:
    inject.bend_time(INJECTOR)

from tencentcloud.common.common_client import CommonClient  # noqa: E402

from quiesce import budget, examine  # noqa: E402 - modules keep time.time as they find it
from quiesce.adapters.cbs import CbsSnapshots  # noqa: E402
from quiesce.adapters.hook_client import HookClient  # noqa: E402
from quiesce.invocation import handle  # noqa: E402
from quiesce.ports import Agent, SnapshotStore  # noqa: E402
from quiesce.recording import Recorder  # noqa: E402
from quiesce.run import Run  # noqa: E402

PORTS: tuple[tuple[type, type], ...] = ((Agent, HookClient), (SnapshotStore, CbsSnapshots))
"""What the procedure asks of the world, and what answers in the deployed function."""
OUTER: Mapping[str, tuple[type, str]] = {
    "plan": (Run, "_plan"),
    "label": (Recorder, "_label"),
    "record": (Recorder, "record"),
}
"""Steps of a run around the procedure, and the methods that do them."""
MIDDLES: tuple[tuple[type, str], ...] = ((HookClient, "_send"), (CommonClient, "call_json"), (Recorder, "_discard"))
"""Where the function sends and reads: the middle of every step that asks somebody. ``record`` asks through another step."""


def duties(port: type) -> tuple[str, ...]:
    """Methods of one Protocol, in its order."""
    return tuple(name for name, value in vars(port).items() if callable(value) and not name.startswith("_"))


def wrap() -> None:
    """Put the fault's moments around every step, and into the middle of each."""
    for port, adapter in PORTS:
        for name in duties(port):
            _wrap(adapter, name, partial(INJECTOR.step, name))
    for step, (owner, method) in OUTER.items():
        _wrap(owner, method, partial(INJECTOR.step, step))
    for owner, name in MIDDLES:
        _wrap(owner, name, INJECTOR.middle)


def _wrap(owner: type, name: str, around: Callable[[], Any]) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def called(*arguments: Any, **named: Any) -> Any:
        with around():
            return real(*arguments, **named)

    setattr(owner, name, called)


def main_handler(event: object, context: Mapping[str, object]) -> object:
    """Wait for the gate, if there is one, and do what the function does."""
    gate = os.environ.get("GATE")
    while gate and not Path(gate).exists():
        time.sleep(0.002)
    return handle(event, context, os.environ, sys.stdout)


if __name__ == "index":
    # Waits that the arithmetic makes long, so that hundreds of cases take minutes. None of them is a promise.
    budget.PREFLUSH_S, budget.RELEASE_MARGIN_S, examine.LOOK_EVERY_S = 1.0, 0.5, 0.3
    wrap()
