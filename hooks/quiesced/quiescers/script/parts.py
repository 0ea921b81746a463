"""One script of a hold, in either of its forms: one that stays and witnesses, or one that is called and gives its word."""

from __future__ import annotations

import logging
from typing import Optional, Protocol

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget
from quiesced.quiescers.script.files import Caller, Script, environment
from quiesced.quiescers.script.process import Left, ScriptError, Session
from quiesced.quiescers.script.says import Shown, read_witness

WITNESS_LIMIT_S = 2.0
"""How long a script may take to witness: filesystems are frozen while it does."""
READY = "ready"

log = logging.getLogger(__name__)


class Part(Protocol):
    """What one script does in a hold; as base.Hold, for a part of it."""

    script: Script

    def quiesce(self, budget: Budget) -> None:
        """Take the hold, or raise Refused; then ``release`` is due."""

    def witness(self) -> Optional[Shown]:
        """Observe the hold; None when it gives its word only. Raises ScriptError or ValueError."""

    def lost(self) -> str:
        """Say why the hold is known to be over; empty while it is not. From any thread; never waits."""

    def release(self) -> None:
        """Let go. Any number of times; never raises."""


class Calls:
    """A script that is called with ``quiesce`` and then with ``release``, and shows nothing in between."""

    def __init__(self, caller: Caller, script: Script) -> None:
        self.script = script
        self._caller = caller
        self._called = False

    def quiesce(self, budget: Budget) -> None:
        """See Part."""
        own = self._caller.timeout()
        self._called = True  # from now on: it may fail half-way
        self._caller.run(self.script, "quiesce", lambda: min(own(), budget.acquire_left_s()), budget)

    def witness(self) -> Optional[Shown]:
        """See Part."""
        return None

    def lost(self) -> str:
        """See Part."""
        return ""

    def release(self) -> None:
        """See Part."""
        if self._called:
            self._called = False
            undo(self._caller, self.script)


class Stays:
    """A script that runs from ``prepare`` until it is released: its process is the session that holds."""

    def __init__(self, caller: Caller, script: Script, budget: Budget) -> None:
        """Start it and wait until it is ready; it holds nothing yet. Raises Refused, and then it does not run."""
        self.script = script
        self._caller = caller
        caller.insist_on_owner(script)
        try:
            self.session = Session((*script.argv, "quiesce"), environment(caller.name, budget))
        except ScriptError as error:
            raise caller.refused(script, "quiesce", error, budget) from error
        try:
            self._await_ready(budget)
        except (ScriptError, ValueError) as error:
            self.release()
            raise caller.refused(script, "quiesce", error, budget) from error

    def _await_ready(self, budget: Budget) -> None:
        own = self._caller.timeout()
        said = self.session.ask("", unless_cancelled(own, budget))
        if said != READY:
            raise ValueError(f"promised a witness, so its first line must be {READY!r}, not {said[:80]!r}")

    def quiesce(self, budget: Budget) -> None:
        """See Part."""
        own = self._caller.timeout()
        try:
            shown = read_witness(self.session.ask("quiesce", lambda: min(own(), budget.acquire_left_s())))
        except (ScriptError, ValueError) as error:
            raise self._caller.refused(self.script, "quiesce", error, budget) from error
        if not shown.lock_shown:
            reason = f"it holds nothing: {shown.lock_evidence}"
            raise self._caller.refused(self.script, "quiesce", ScriptError(reason))

    def witness(self) -> Optional[Shown]:
        """See Part."""
        return read_witness(self.session.ask("witness", self._caller.timeout(WITNESS_LIMIT_S)))

    def lost(self) -> str:
        """See Part."""
        return self.session.lost()

    def release(self) -> None:
        """See Part. What did not end in order is undone as after a crash."""
        if not self._ended:
            self._ended = True
            if not self.session.end(self._caller.timeout()):
                undo(self._caller, self.script)

    _ended = False


def undo(caller: Caller, script: Script) -> None:
    """Call a script with ``release``, once more when that fails. Never raises; logs what failed."""
    for last in (False, True):
        try:
            caller.run(script, "release", caller.timeout())
            return
        except Refused as error:
            if last:
                log.error("a script did not release", extra={"application": caller.name, "reason": str(error)})


def unless_cancelled(own: Left, budget: Budget) -> Left:
    """Count a preparation's own time only, until a release asks for its end: nobody waits for it yet."""
    return lambda: own() if budget.acquire_left_s() > 0 else 0.0
