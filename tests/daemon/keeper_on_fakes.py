"""The keeper on an instance that exists in memory, for the tests of how holds begin and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from quiesced.keeper import Keeper
from quiesced.messages import QuiesceAnswer
from quiesced.quiescers.base import Quiescer
from tests.daemon.fakes import FakeInstance, config


def start(
    root: Path,
    instance: FakeInstance,
    *,
    expedite_path: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    only_applications_write: bool = False,
    applications: Sequence[Quiescer] | None = None,
) -> Keeper:
    keeper = Keeper(
        config(root, expedite=expedite_path is not None, only_applications_write=only_applications_write),
        instance.applications if applications is None else applications,
        clock=clock,
        surveyor=instance.disks,
        ioctls=instance.kernel,
        start_guardian=instance.start_guardian,
        expedite_path=expedite_path or root / "no-such-knob",
    )
    keeper.heal()
    return keeper


def refused_with(answer: QuiesceAnswer) -> str:
    assert answer.state == "refused"
    assert answer.witness is None
    assert answer.refusal is not None
    return answer.refusal.code
