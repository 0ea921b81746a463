"""A clock, the answers and a reader of refusals, for the tests of the lease book."""

from __future__ import annotations

from typing import Optional

from quiesced.messages import QuiesceAnswer, ReleaseAnswer

HELD_S = 10.0


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def held(lease_id: str) -> QuiesceAnswer:
    return QuiesceAnswer(lease_id, "held", None, None, (), HELD_S)


def released(lease_id: str, reason: str = "") -> ReleaseAnswer:
    return ReleaseAnswer(lease_id, "released", not reason, reason, None, 1.0, ())


def code_of(answer: object) -> Optional[str]:
    assert isinstance(answer, QuiesceAnswer)
    return answer.refusal.code if answer.refusal else None
