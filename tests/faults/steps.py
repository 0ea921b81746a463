"""Every step of a run, as the product itself has it: a step that is added there is a step here."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quiesced.auth import Gate
from quiesced.instance_hold import HoldStep
from quiesced.messages import (
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    ReleaseAnswer,
    ReleaseRequest,
    StatusAnswer,
)
from quiesced.server import App
from tests.faults import faulty_index

RECORDED = Path(__file__).with_name("recorded.json")
"""What a faultless run called and went through; the matrix compares it with a run of its own before it begins."""


class Side(str, enum.Enum):
    """Where a fault strikes."""

    DAEMON = "daemon"
    FUNCTION = "function"
    CLOUD = "cloud"
    WIRE = "wire"


class Moment(str, enum.Enum):
    """When it strikes: ``after`` means that the step is done and nobody learns of it."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True)
class Step:
    """One step; ``nth`` tells the two witnesses of a hold apart."""

    side: Side
    name: str
    nth: int = 1

    @property
    def grouped(self) -> bool:
        """Whether only a run that makes a group goes through it."""
        return self.side is Side.CLOUD and "Group" in self.name

    def __str__(self) -> str:
        return f"{self.side.value} {self.name}" + (f" {self.nth}" if self.nth > 1 else "")


class _Nobody:
    """A keeper for an App of which only the paths are wanted."""

    def check(self, request: CheckRequest) -> CheckAnswer:
        raise NotImplementedError

    def prepare(self, request: QuiesceRequest) -> QuiesceAnswer:
        raise NotImplementedError

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        raise NotImplementedError

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        raise NotImplementedError

    def status(self) -> StatusAnswer:
        raise NotImplementedError


def recorded() -> dict[str, list[str]]:
    """What the recorded faultless runs called (``actions``; with a group ``group_actions``), and their ``hook_steps``."""
    read: dict[str, list[str]] = json.loads(RECORDED.read_text())
    return read


def every_step() -> tuple[Step, ...]:
    """Enumerate the daemon's steps, the function's, the cloud's actions and the hook's routes."""
    seen = recorded()
    return (
        *(Step(Side.DAEMON, step.value, nth) for step in HoldStep for nth in _times(step.value, seen["hook_steps"])),
        *(Step(Side.FUNCTION, name) for name in function_steps()),
        *(Step(Side.CLOUD, action) for action in sorted({*seen["actions"], *seen["group_actions"]})),
        *(Step(Side.WIRE, path) for path in App(_Nobody(), Gate({})).paths),
    )


def function_steps() -> tuple[str, ...]:
    """Name every duty that the procedure asks of the world, and the run's steps around it."""
    return (*faulty_index.OUTER, *(name for port, _ in faulty_index.PORTS for name in faulty_index.duties(port)))


def _times(name: str, steps: Sequence[str]) -> range:
    """Count the step once at least: one that no recorded run has is still a step."""
    return range(1, max(1, steps.count(name)) + 1)
