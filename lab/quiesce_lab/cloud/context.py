"""What an action is handed: one admitted call, and the world it may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quiesce_lab.cloud.faults import Fault
from quiesce_lab.cloud.model import Estate
from quiesce_lab.cloud.record import Call, Record
from quiesce_lab.cloud.settings import Settings
from quiesce_lab.cloud.world import World
from quiesce_lab.ports import BlockStore


@dataclass(frozen=True)
class Context:
    """One admitted call. ``pause`` waits without holding anything, and is cut short when the cloud stops."""

    world: World
    estate: Estate
    blocks: BlockStore
    settings: Settings
    record: Record
    call: Call
    body: dict[str, Any]
    payload: bytes
    """The body as it came; UploadLog alone reads it."""
    fault: Fault | None
    latency_s: float
    pause: Callable[[float], None]

    def now_s(self) -> float:
        """Seconds since 1970 on the world's clock."""
        return self.world.clock.time()


Answer = dict[str, Any]
Handler = Callable[[Context], Answer]
