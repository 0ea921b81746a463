"""A keeper that holds nothing but notes what it was asked: what reached it got past the server."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Optional

from quiesced.messages import (
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    ReleaseAnswer,
    ReleaseRequest,
    StatusAnswer,
)


@dataclass
class FakeKeeper:
    """Holds one lease at a time and refuses to hold two, as the real one."""

    asked: list[Any] = field(default_factory=list)
    held: Optional[str] = None
    may_hold: threading.Event = field(default_factory=threading.Event)
    fault: Optional[Exception] = None

    def check(self, request: CheckRequest) -> CheckAnswer:
        self.asked.append(request)
        if self.fault:
            raise self.fault
        return CheckAnswer(True, (), (), (), 0)

    def prepare(self, request: QuiesceRequest) -> QuiesceAnswer:
        assert self.held is None, "a keeper prepares nothing while it holds"
        self.asked.append(request)
        return QuiesceAnswer(request.lease_id, "prepared", None, None, (), 30.0)

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        assert self.held is None, "a keeper holds one lease at a time"
        self.asked.append(request)
        assert self.may_hold.wait(10)
        self.held = request.lease_id
        return QuiesceAnswer(request.lease_id, "held", None, None, (), request.hold_limit_s)

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        self.asked.append(request)
        state = "released" if self.held == request.lease_id else "never_held"
        self.held = None
        return ReleaseAnswer(request.lease_id, state, state == "released", "", None, 0.0, ())

    def status(self) -> StatusAnswer:
        return StatusAnswer("0", "held" if self.held else "idle", self.held, None, 0.0)
