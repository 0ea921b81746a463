"""The hold of an application that is held by scripts: in order, and let go in reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quiesced.errors import Refused
from quiesced.messages import ApplicationWitness
from quiesced.quiescers.base import Budget, HeldBy, Watched
from quiesced.quiescers.script.parts import Part, Stays
from quiesced.quiescers.script.process import ScriptError
from quiesced.quiescers.script.says import Shown

ENGINE = "script"
SESSION, WORD = "session", "word"
"""Modes: every script stays and witnesses, or at least one gives its word only."""
WHY = {
    SESSION: "check printed its paths as JSON: each script stays while it holds, and witnesses",
    WORD: "a script printed no JSON at check: it says that it holds, and shows nothing",
}
_ENDED = "no script shows a lock: "


class ScriptHold:
    """See base.Hold."""

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name = name
        self._parts = parts
        self._stay = [part for part in parts if isinstance(part, Stays)]
        self.mode = SESSION if len(self._stay) == len(parts) else WORD
        self.held_by = HeldBy.LOCK if self.mode == SESSION else HeldBy.WORD
        self.leftover: dict[str, object] = {
            "scripts": [part.script.name for part in parts],
            "sessions": [{"pid": part.session.pid, "started": part.session.started} for part in self._stay],
        }

    def sockets(self) -> tuple[int, ...]:
        """See base.Hold: shutting one down is end of file for a script that stays, and that is its word to let go."""
        return tuple(part.session.fd for part in self._stay)

    def quiesce(self, budget: Budget) -> None:
        """See base.Hold."""
        try:
            for part in self._parts:
                part.quiesce(budget)
        except Refused:
            self.release()
            raise

    def witness(self) -> ApplicationWitness:
        """See base.Hold. Nothing is started for it: filesystems are frozen."""
        try:
            shown = {part.script.name: seen for part in self._parts for seen in [part.witness()] if seen}
        except (ScriptError, ValueError) as error:
            return self._witness({}, f"{_ENDED}{error}")
        return self._witness(shown, "" if shown else _ENDED + WHY[WORD])

    def _witness(self, shown: Mapping[str, Shown], trouble: str) -> ApplicationWitness:
        every = list(shown.values())
        alive = bool(every) and len(every) == len(self._parts)
        return ApplicationWitness(
            name=self.name,
            engine=ENGINE,
            session=", ".join(
                f"process {part.session.pid}: {shown[part.script.name].session}" for part in self._answered(shown)
            ),
            session_alive=alive,
            lock_shown=alive and all(seen.lock_shown for seen in every),
            lock_evidence=trouble or "; ".join(seen.lock_evidence for seen in every),
            position=self._position(shown),
            durable=alive and all(seen.durable for seen in every),
            durable_evidence=trouble or "; ".join(seen.durable_evidence for seen in every),
            held_by=self.held_by.value,
            mode=self.mode,
            mode_reason=WHY[self.mode],
        )

    def _answered(self, shown: Mapping[str, Shown]) -> list[Stays]:
        return [part for part in self._stay if part.script.name in shown]

    def _position(self, shown: Mapping[str, Shown]) -> dict[str, str]:
        """Name each value by its script where there are several."""
        several = len(self._parts) > 1
        found = [(script, key, value) for script, seen in shown.items() for key, value in seen.position.items()]
        return {f"{script}.{key}" if several else key: value for script, key, value in found}

    def watched(self) -> Watched:
        """See base.Hold: a script keeps no list of writers, but one that has ended holds nothing any more."""
        reasons = ((part.script.name, part.lost()) for part in self._parts)
        return Watched(too_many=next((f"{script}: {reason}" for script, reason in reasons if reason), ""))

    def release(self) -> None:
        """See base.Hold."""
        for part in reversed(self._parts):
            part.release()

    def attachments(self) -> Mapping[str, str]:
        """See base.Hold: none."""
        return {}
