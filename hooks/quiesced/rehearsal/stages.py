"""The two holds of a rehearsal: one that is released, and one whose holder is killed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from quiesced.config import Config
from quiesced.messages import PROTOCOL, Step
from quiesced.quiescers.base import Quiescer
from quiesced.rehearsal import traces
from quiesced.rehearsal.holders import ChildHolder, Holder, Message
from quiesced.rehearsal.probe import Probe
from quiesced.rehearsal.report import (
    GUARDIAN,
    HEAL,
    Held,
    Killed,
    Reason,
    Stalled,
    Thawed,
    against_hold,
    against_kill,
    reason,
)
from quiesced.state import Leftover, StateDir

SPARE_S = 2.0
"""How much longer than the rehearsal holds its hold limit is: nothing may be held for longer, whatever happens."""
WRITES_LIMIT_S = 5.0
"""How long after the hold limit a write on a filesystem is waited for."""
ENDING_LIMIT_S = 1.0
"""How long sessions may take to end by the guardian alone; after that they are ended as by the next daemon."""
LOOK_EVERY_S = 0.005


@dataclass(frozen=True)
class Asked:
    """What to rehearse: on which disks, and for how many seconds."""

    config: Config
    quiescers: Sequence[Quiescer]
    disks: tuple[str, ...]
    hold_s: float

    @property
    def limits(self) -> Message:
        """Bound the rehearsal as tightly as the owner's limits allow, in the words of the protocol."""
        hold_limit_s = min(self.config.limits.hold_limit_s, self.hold_s + SPARE_S)
        return {"acquire_limit_s": self.config.limits.acquire_limit_s, "hold_limit_s": hold_limit_s}

    @property
    def most_s(self) -> float:
        """The longest that a write may wait: what getting the hold may take, and the hold."""
        return self.config.limits.acquire_limit_s + self.hold_s


def check(holder: Holder, asked: Asked) -> dict[str, Any]:
    """Ask what a hold would cover."""
    return holder.ask("/v1/check", {"protocol": PROTOCOL, "run_id": _new_id(), "disks": list(asked.disks), **asked.limits})


def hold_and_release(holder: Holder, asked: Asked, probe: Probe) -> tuple[Optional[Held], tuple[Reason, ...]]:
    """Hold once and release. Raises DaemonSilentError; the hold limit then ends what is held."""
    began_s = time.monotonic()
    lease_id = _new_id()
    try:
        answer = holder.ask("/v1/quiesce", _quiesce(lease_id, asked))
        if answer["state"] == "held":
            time.sleep(asked.hold_s)
    finally:  # also when interrupted, and when the answer was lost
        told = holder.ask("/v1/release", {"protocol": PROTOCOL, "lease_id": lease_id})
    if answer["state"] != "held":
        return None, (_refused(answer),)
    probe.wait_for_writes(time.monotonic(), WRITES_LIMIT_S)
    mount_points = _mount_points(answer["witness"])
    stalls = tuple(Stalled(name, probe.longest_s(name, began_s), probe.usual_s(name)) for name in mount_points)
    steps = tuple(Step(**step) for step in (*answer["steps"], *told["steps"]))
    held = Held(told["held_s"], told["held_without_gap"], steps, stalls)
    return held, against_hold(held, told["reason"], asked.most_s)


def hold_and_kill(holder: ChildHolder, asked: Asked, probe: Probe) -> tuple[Optional[Killed], tuple[Reason, ...]]:
    """Hold once more, kill the holder, and watch what lets go. The place has to be ours. Raises like the other."""
    answer = holder.ask("/v1/quiesce", _quiesce(_new_id(), asked))
    if answer["state"] != "held":
        return None, (_refused(answer),)
    held = StateDir(traces.directory(asked.config)).read_held()
    leftovers = held.leftovers if held else ()
    time.sleep(asked.hold_s)
    killed_s = time.monotonic()
    holder.kill()
    writes = probe.wait_for_writes(killed_s, float(str(asked.limits["hold_limit_s"])) + WRITES_LIMIT_S)
    thaws = tuple(Thawed(name, _since(killed_s, writes[name])) for name in _frozen(answer["witness"]))
    unlocked_s, by, remaining = _ended(asked, leftovers, killed_s)
    killed = Killed(thaws, unlocked_s, by)
    return killed, against_kill(killed, remaining)


def _ended(asked: Asked, leftovers: Sequence[Leftover], killed_s: float) -> tuple[Optional[float], str, tuple[str, ...]]:
    """Wait for every session to end; say when after the kill, by whom, and what is still held."""

    def remaining() -> tuple[str, ...]:
        return tuple(_remains(asked.quiescers, leftovers))

    left, by = _wait_for_none(remaining), GUARDIAN
    alone_s = time.monotonic() - killed_s
    traces.heal(asked.config, asked.quiescers)  # in any case: settings are put back, too
    if left:
        left, by = _wait_for_none(remaining), HEAL
        alone_s = time.monotonic() - killed_s
    return (None if left else alone_s), by, left


def _remains(quiescers: Sequence[Quiescer], leftovers: Sequence[Leftover]) -> list[str]:
    by_name = {(quiescer.engine, quiescer.name): quiescer for quiescer in quiescers}
    found = [by_name[one.engine, one.name].remains(one.content) for one in leftovers]
    return [words for each in found for words in each]


def _wait_for_none(remaining: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    ends_s = time.monotonic() + ENDING_LIMIT_S
    left = remaining()
    while left and time.monotonic() < ends_s:
        time.sleep(LOOK_EVERY_S)
        left = remaining()
    return left


def _quiesce(lease_id: str, asked: Asked) -> Message:
    ids = {"protocol": PROTOCOL, "lease_id": lease_id, "run_id": lease_id, "prior_holds": 0}
    return {**ids, "disks": list(asked.disks), **asked.limits}


def _new_id() -> str:
    return f"rehearsal-{uuid.uuid4().hex}"


def _refused(answer: dict[str, Any]) -> Reason:
    return reason(answer["refusal"]["code"], answer["refusal"]["message"])


def _mount_points(witness: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(seen["mount_point"] for seen in witness["filesystems"]))


def _frozen(witness: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(seen["mount_point"] for seen in witness["filesystems"] if seen["frozen"]))


def _since(killed_s: float, at_s: Optional[float]) -> Optional[float]:
    return None if at_s is None else at_s - killed_s
