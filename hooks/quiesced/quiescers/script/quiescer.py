"""Any application at all, held by executables of its owner (docs/scripts.md, docs/adr/0009).

What a script prints is a witness only if it is one as JSON; without one, what it did is its word, and a set of snapshots
is called ``filesystem`` at most. Which form a script has, it says at ``check``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Callable, Optional

from quiesced.errors import Refused
from quiesced.messages import Refusal
from quiesced.quiescers.base import Budget, Report, Scene
from quiesced.quiescers.script.files import Caller, Options, Script, find, named
from quiesced.quiescers.script.hold import ENGINE, SESSION, WHY, WORD, ScriptHold
from quiesced.quiescers.script.parts import Calls, Part, Stays, undo, unless_cancelled
from quiesced.quiescers.script.process import Left, end_orphan
from quiesced.quiescers.script.says import Promise, read_promise

ORPHAN_S = 1.0
"""How long a script that stays may take to end by itself after its daemon died."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Looked:
    """What ``check`` of one script gave."""

    script: Script
    promise: Optional[Promise] = None
    refusal: Optional[Refusal] = None


class ScriptQuiescer:
    """See base.Quiescer."""

    engine = ENGINE

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._options = options
        self._caller = Caller(name, options)

    def check(self, scene: Scene) -> Report:
        """Call every script with ``check`` and put together what they say."""
        try:
            looked = [self._look(script) for script in find(self.name, self._options)]
        except Refused as error:
            return Report("", (), (Refusal(error.code, str(error)),))
        promises = [one.promise for one in looked if one.promise]
        mode = SESSION if len(promises) == len(looked) else WORD
        return Report(
            version="; ".join(promise.version for promise in promises if promise.version),
            paths=tuple(path for promise in promises for path in promise.paths) if mode == SESSION else (),
            refusals=tuple(one.refusal for one in looked if one.refusal),
            scratch=tuple(path for promise in promises for path in promise.scratch),
            mode=mode,
            mode_reason=WHY[mode],
        )

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> ScriptHold:
        """Call every script with ``check``, then start those that stay. Nothing is held."""
        scripts = find(self.name, self._options)
        promised = [(script, self._promise(script, unless_cancelled(self._caller.timeout(), budget))) for script in scripts]
        register({"scripts": [script.name for script in scripts], "sessions": []})
        parts: list[Part] = []
        try:
            for script, promise in promised:
                parts.append(Stays(self._caller, script, budget) if promise else Calls(self._caller, script))
        except Refused:
            for part in reversed(parts):
                part.release()
            raise
        return ScriptHold(self.name, parts)

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        """Say nothing: what a script holds is known to the script alone, and ``heal`` calls its release."""
        del leftover
        return ()

    def heal(self, leftover: dict[str, object]) -> None:
        """End what still runs, then call every script with ``release``, in reverse."""
        sessions = leftover.get("sessions")
        for session in sessions if isinstance(sessions, list) else []:
            end_orphan(int(session["pid"]), str(session["started"]), ORPHAN_S)
        try:
            scripts = find(self.name, self._options)
        except Refused as error:
            log.error("scripts could not be called to release", extra={"application": self.name, "reason": str(error)})
            return
        for script in reversed(named(scripts, leftover.get("scripts"))):
            undo(self._caller, script)

    def _look(self, script: Script) -> _Looked:
        try:
            return _Looked(script, self._promise(script, self._caller.timeout()))
        except Refused as error:
            return _Looked(script, refusal=Refusal(error.code, str(error)))

    def _promise(self, script: Script, left_s: Left) -> Optional[Promise]:
        done = self._caller.run(script, "check", left_s)
        try:
            return read_promise(done.output)
        except ValueError as error:
            raise self._caller.refused(script, "check", error) from error
