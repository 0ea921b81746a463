"""One hold of a MySQL or MariaDB server: a lock that stops every commit, and proof that it holds."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, Optional

from quiesced.errors import Refused
from quiesced.messages import ApplicationWitness
from quiesced.quiescers.base import Budget, HeldBy, Watched
from quiesced.quiescers.mysql import redo
from quiesced.quiescers.mysql.guard import who_stands_in_the_way
from quiesced.quiescers.mysql.lock import LockView
from quiesced.quiescers.mysql.mode import Way
from quiesced.quiescers.mysql.pileup import PileUp
from quiesced.quiescers.mysql.position import Position
from quiesced.quiescers.mysql.session import LOOK_LIMIT_S, LOST, STATEMENT_TIMEOUT_S, Flavor, Options, Session, unreachable
from quiesced.quiescers.mysql.undo import undo

ENGINE = "mysql"
_POLL_S = 0.010

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a hold is made of: the session that will hold the lock, and those that look at it and at who waits for it."""

    lock: Session
    control: Session
    pile_up: PileUp
    flavor: Flavor
    view: LockView
    way: Way
    position: Position


class MysqlHold:
    """See base.Hold."""

    def __init__(self, name: str, options: Options, parts: Parts, leftover: dict[str, object]) -> None:
        self.name = name
        self.held_by = parts.way.locking.held_by
        self.leftover = leftover
        self._options = options
        self.parts = parts
        """Its sessions, and what they are connected to."""
        self._redo: Optional[redo.Redo] = None
        self._in_the_way = ""
        self._released = False

    def sockets(self) -> tuple[int, ...]:
        """See base.Hold."""
        return (self.parts.lock.socket.fileno(),)

    def quiesce(self, budget: Budget) -> None:
        """Take the lock, then wait until the redo log is on disk; behind a freeze, read the binary log up to here."""
        parts = self.parts
        parts.pile_up.start()
        try:
            if self.held_by is HeldBy.LOCK:  # asked where nobody waits yet: this lock would not keep the log enabled anyway
                redo.insist_on_log(parts.control, parts.flavor)
            self._lock(budget)
            if self.held_by is HeldBy.FREEZE:
                redo.insist_on_log(parts.control, parts.flavor)
            self._redo = redo.wait_until_durable(parts.control, parts.flavor, budget.acquire_left_s)
            parts.position.catch_up(budget.acquire_left_s)
            self._limit(LOOK_LIMIT_S)
        except Refused as error:
            self.release()
            raise Refused(error.code, f"{self.name}: {error}") from error
        except LOST as error:
            self.release()
            raise unreachable(self.name, error) from error

    def _limit(self, read_timeout_s: float) -> None:
        self.parts.lock.limit(read_timeout_s)
        self.parts.control.limit(read_timeout_s)

    def _lock(self, budget: Budget) -> None:
        lock = self.parts.lock
        # Dead-men inside the server: the first ends the session this long after the last statement of a hung holder, the
        # second a wait that nobody is there to kill.
        hold_s, acquire_s = math.ceil(budget.hold_limit_s) + 1, math.ceil(budget.acquire_left_s()) + 1
        lock.run(f"SET SESSION wait_timeout = {hold_s}, SESSION lock_wait_timeout = {acquire_s}")
        pile_up = self.parts.pile_up
        with _Watchdog(lambda: 0.0 if pile_up.too_many else budget.acquire_left_s(), self._kill_lock_session) as watchdog:
            try:
                for statement in self.parts.way.locking.take:
                    lock.run(statement)
            except LOST:
                if not watchdog.expired:
                    raise
        if watchdog.expired:
            code, why = "acquire_timeout", "the lock was not granted in time"
            if pile_up.too_many:
                code, why = "writers_piled_up", pile_up.too_many
            raise Refused(code, f"{why}; {self._in_the_way}")

    def _who_stands_in_the_way(self) -> str:
        try:
            own_ids = (self.parts.lock.id, self.parts.control.id, self.parts.pile_up.session_id)
            return who_stands_in_the_way(self.parts.control, own_ids)
        except LOST as error:
            return f"the server could not be asked why: {error}"

    def _kill_lock_session(self) -> None:
        # Asked before: once the request is gone, those who waited for it look like those it waited for.
        self._in_the_way = self._who_stands_in_the_way()
        try:
            self.parts.control.run(f"KILL CONNECTION {self.parts.lock.id}")
        except LOST:
            self.parts.lock.abort()

    def witness(self) -> ApplicationWitness:
        """Ask the server; whatever it does not answer is not there."""
        alive = self.parts.lock.alive()
        # A server without the lock is not asked further: on a frozen filesystem its commits wait for the thaw, and whoever
        # asks for the position waits behind them.
        shown, evidence = self._look_at_lock() if alive else (False, "the session that held it is gone")
        position, missing = self._look_at_position() if shown else ({}, evidence)
        durable, durable_evidence = self._look_at_durability() if shown else (False, "it was not asked")
        return ApplicationWitness(
            name=self.name,
            engine=ENGINE,
            session=str(self.parts.lock.id),
            session_alive=alive,
            lock_shown=shown and not missing,
            lock_evidence=missing or evidence,
            position=position,
            durable=durable,
            durable_evidence=durable_evidence,
            held_by=self.held_by.value,
            mode=self.parts.way.mode,
            mode_reason=self.parts.way.reason,
        )

    def _look_at_lock(self) -> tuple[bool, str]:
        view = self.parts.view
        try:
            shown = view.shows(self.parts.control, self.parts.lock.id)
        except LOST as error:
            return False, f"the server could not be asked: {error}"
        return shown, view.evidence if shown else "the lock is not in force: not true that " + view.evidence

    def _look_at_durability(self) -> tuple[bool, str]:
        """What was committed before is on disk; where commits go on until the freeze, each has to see to that itself."""
        if self._redo is None:
            return False, "the redo log was not seen on disk"
        if self.held_by is HeldBy.FREEZE:
            try:
                setting = redo.setting(self.parts.control)
            except LOST as error:
                return False, f"the server could not be asked: {error}"
            if setting != 1:
                return False, f"somebody set {redo.SETTING} to {setting} meanwhile"
        return True, str(self._redo)

    def _look_at_position(self) -> tuple[dict[str, str], str]:
        """Return the position, or why there is none."""
        try:
            return self.parts.position.look(), ""
        except (*LOST, Refused) as error:
            return {}, f"where it stands cannot be told: {error}"

    def watched(self) -> Watched:
        """See base.Hold."""
        return self.parts.pile_up.watched()

    def attachments(self) -> Mapping[str, str]:
        """See base.Hold: none."""
        return {}

    def release(self) -> None:
        """Unlock, restore the setting, say goodbye."""
        if self._released:
            return
        self._limit(STATEMENT_TIMEOUT_S)
        try:
            self.parts.lock.run(self.parts.way.locking.give)
        except LOST as error:
            log.warning(
                "the lock was not given back in order; closing its session frees it",
                extra={"application": self.name, "reason": str(error)},
            )
        # Closing frees a lock, too, that the statement did not reach.
        self.parts.lock.close()
        self.parts.pile_up.stop()
        undo(self._options, self.parts.control, self.leftover, self.name)
        self.parts.control.close()
        self._released = True  # last: one that broke off is asked for again, and every part of it may be done twice


class _Watchdog:
    """Calls ``end`` once when no time is left, unless the block is over first. ``expired`` says that it did."""

    def __init__(self, left_s: Callable[[], float], end: Callable[[], None]) -> None:
        self._left_s = left_s
        self._end = end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lock-watchdog", daemon=True)
        self.expired = False

    def __enter__(self) -> _Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # An end that is under way is waited for: from here on the control session belongs to the caller again.
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while self._left_s() > 0:
            # Asked again and again, because the time left also ends when the lease is cancelled.
            if self._over.wait(min(self._left_s(), _POLL_S)):
                return
        self.expired = True
        self._end()
