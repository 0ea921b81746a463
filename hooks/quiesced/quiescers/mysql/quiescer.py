"""MySQL and MariaDB: checked, guarded, pre-flushed and held (mysql/hold), and healed after a crash."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Callable, Optional

from quiesced.errors import Refused
from quiesced.messages import Refusal
from quiesced.quiescers.base import Budget, HeldBy, Report, Scene
from quiesced.quiescers.mysql import redo, replica
from quiesced.quiescers.mysql.guard import guard, missing_grants
from quiesced.quiescers.mysql.hold import ENGINE, MysqlHold, Parts
from quiesced.quiescers.mysql.lock import choose_view, fail_at_once
from quiesced.quiescers.mysql.mode import Server, Way, against_light_lock, choose
from quiesced.quiescers.mysql.paths import Paths, scratch_paths, written_paths
from quiesced.quiescers.mysql.pileup import PileUp
from quiesced.quiescers.mysql.position import Asked, KnownLogs, OnDisk, Position
from quiesced.quiescers.mysql.session import (
    AUTO,
    LOST,
    REPLICA,
    STATEMENT_TIMEOUT_S,
    Flavor,
    Options,
    Session,
    answering,
    connect,
)
from quiesced.quiescers.mysql.undo import SETTING, STOPPED, put_back

HEAL_TIMEOUT_S = 10.0
_HEAL_PAUSE_S = 0.5
READ_LIMIT_S = 15.0
"""How long a binary log may be read before a hold: a GiB of short transactions, of which there are some 5 us each."""

log = logging.getLogger(__name__)


class MysqlQuiescer:
    """See base.Quiescer. ``sleep`` and ``monotonic`` serve the retries of ``heal``."""

    engine = ENGINE

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._options = options
        self._logs = KnownLogs()
        self._sleep = sleep
        self._monotonic = monotonic

    def check(self, scene: Scene) -> Report:
        """Look at version, paths, privileges and everything that the guard looks at."""
        control = connect(self._options, self.name)
        try:
            with answering(self.name):
                return self._look(control, control.flavor(), scene)
        finally:
            control.close()

    def _look(self, control: Session, flavor: Flavor, scene: Scene) -> Report:
        lacking = self._lacking(control, flavor, redo.setting(control))
        if lacking:  # without PROCESS, neither paths nor obstacles are all to be seen
            return Report(flavor.text, (), (lacking,))
        paths, incomplete = written_paths(control, self.name)
        scratch = scratch_paths(control)
        try:
            way = self._way(control, flavor, paths, scene)
        except Refused as error:
            return Report(flavor.text, paths, (*incomplete, Refusal(error.code, str(error))), scratch)
        refusals = (*incomplete, *self._obstacles(control, flavor, way))
        return Report(flavor.text, paths, refusals, scratch, way.mode, way.reason)

    def _lacking(self, control: Session, flavor: Flavor, flush_log: int) -> Optional[Refusal]:
        running = any(channel.sql_running for channel in replica.channels(control, flavor))
        stops = running and self._options.mode in (AUTO, REPLICA)
        return missing_grants(control, flavor, self.name, flush_log, stops_replication=stops)

    def _way(self, control: Session, flavor: Flavor, paths: Paths, scene: Scene) -> Way:
        """Choose how to hold. Raises Refused, with this application's name in it."""
        found = replica.channels(control, flavor)
        datadir = Path(str(control.value("SELECT @@GLOBAL.datadir")))
        server = Server(flavor, found, datadir, paths, against_light_lock(control, flavor, found))
        try:
            return choose(self._options.mode, server, scene)
        except Refused as error:
            raise Refused(error.code, f"{self.name}: {error}") from error

    def _obstacles(self, control: Session, flavor: Flavor, way: Way) -> tuple[Refusal, ...]:
        fail_at_once(control, flavor)
        try:
            redo.insist_on_log(control, flavor)
            redo.read(control, flavor)
        except Refused as error:
            return (Refusal(error.code, f"{self.name}: {error}"),)
        waits = way.locking.waits_for_statements
        return guard(control, flavor, self._options, self.name, waits_for_statements=waits)

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> MysqlHold:
        """Guard, connect, set innodb_flush_log_at_trx_commit to 1 and bring the redo log to disk once."""
        hold = self._guarded(budget, scene)
        try:
            register(hold.leftover)
            with answering(self.name):
                self._flush(hold, budget)
                parts = hold.parts
                replica.stop(parts.control, parts.flavor, [channel.name for channel in parts.way.channels])
        except BaseException:  # whatever it is goes on, and no session stays behind
            hold.release()
            raise
        return hold

    def _guarded(self, budget: Budget, scene: Scene) -> MysqlHold:
        """Connect both sessions, unless something stands in the way of a lock."""
        control = connect(self._options, self.name)
        try:
            with answering(self.name):
                return self._connected(control, control.flavor(), budget, scene)
        except BaseException:  # whatever it is goes on, and no session stays behind
            control.close()
            raise

    def _connected(self, control: Session, flavor: Flavor, budget: Budget, scene: Scene) -> MysqlHold:
        prior = redo.setting(control)
        lacking = self._lacking(control, flavor, prior)
        for refusal in (lacking,) if lacking else ():
            raise Refused(refusal.code, refusal.message)
        way = self._way(control, flavor, written_paths(control, self.name)[0], scene)
        for refusal in self._obstacles(control, flavor, way):
            raise Refused(refusal.code, refusal.message)
        # Its reads wait for the lock: as long as the watchdog allows, and a bit longer.
        lock = connect(self._options, self.name, read_timeout_s=budget.acquire_left_s() + STATEMENT_TIMEOUT_S)
        try:
            pile_up = self._pile_up((lock.id, control.id), way.locking.held_by)
        except BaseException:  # whatever it is goes on, and no session stays behind
            lock.close()
            raise
        leftover: dict[str, object] = {
            "server": control.server_process(),
            "sessions": [lock.id, control.id, pile_up.session_id],
            SETTING: prior,
            STOPPED: [channel.name for channel in way.channels],
        }
        view = choose_view(flavor, way.locking.held_by)
        parts = Parts(lock, control, pile_up, flavor, view, way, self._position(control, flavor, way))
        return MysqlHold(self.name, self._options, parts, leftover)

    def _position(self, control: Session, flavor: Flavor, way: Way) -> Position:
        if way.locking.held_by is HeldBy.FREEZE:
            return OnDisk(self._logs.log_of(control))
        return Asked(control, flavor, replicates=bool(way.channels))

    def _pile_up(self, own_ids: tuple[int, ...], held_by: HeldBy) -> PileUp:
        pile_up = PileUp(self._options, held_by)
        try:
            already = pile_up.already(own_ids)
            if already:
                raise Refused("blocked", f"{self.name}: {already}")
        except BaseException:  # whatever it is goes on, and no session stays behind
            pile_up.stop()
            raise
        return pile_up

    def _flush(self, hold: MysqlHold, budget: Budget) -> None:
        control, flavor = hold.parts.control, hold.parts.flavor
        if hold.leftover[SETTING] != 1:
            # Before the lock, because after it the setting no longer reaches what was committed.
            control.run(f"SET GLOBAL {redo.SETTING} = 1")
        ends_s = self._monotonic() + budget.acquire_left_s()
        try:
            redo.wait_until_durable(control, flavor, lambda: ends_s - self._monotonic())
            read_by_s = self._monotonic() + READ_LIMIT_S
            hold.parts.position.catch_up(lambda: read_by_s - self._monotonic() if budget.acquire_left_s() > 0 else 0.0)
        except Refused as error:
            raise Refused(error.code, f"{self.name}: {error}") from error

    def heal(self, leftover: dict[str, object]) -> None:
        """End the sessions that an earlier daemon left and restore its setting, on the same server process only."""
        control = self._reconnect()
        if control is None:
            return
        try:
            if control.server_process() != leftover.get("server"):
                return  # a restarted server has neither the sessions nor the setting
            self._end_sessions(control, leftover)
            put_back(control, leftover)
        except LOST as error:
            log.error("an application could not be healed", extra={"application": self.name, "reason": str(error)})
        finally:
            control.close()

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        """See base.Quiescer: which of the sessions the same server process still lists."""
        try:
            control = Session(self._options)
        except LOST as error:
            return (f"{self.name}: cannot be asked whether the sessions have ended: {error}",)
        try:
            same = control.server_process() == leftover.get("server")
            listed = (
                {int(row[0]) for row in control.rows("SELECT id FROM information_schema.processlist")} if same else set()
            )
        except LOST as error:
            return (f"{self.name}: cannot be asked whether the sessions have ended: {error}",)
        finally:
            control.close()
        return tuple(f"{self.name}: session {one} has not ended" for one in _sessions(leftover) if one in listed)

    def _reconnect(self) -> Optional[Session]:
        ends_s = self._monotonic() + HEAL_TIMEOUT_S
        while True:
            try:
                return Session(self._options)
            except LOST as error:
                if self._monotonic() >= ends_s:
                    facts = {"application": self.name, "reason": str(error)}
                    log.error("an application could not be reached to heal it", extra=facts)
                    return None
            self._sleep(_HEAL_PAUSE_S)

    def _end_sessions(self, control: Session, leftover: dict[str, object]) -> None:
        for session_id in _sessions(leftover):
            query = "SELECT user FROM information_schema.processlist WHERE id = %s"
            if control.value(query, session_id) == self._options.user:
                try:
                    control.run(f"KILL CONNECTION {int(session_id)}")
                except LOST as error:
                    facts = {"application": self.name, "session": session_id, "reason": str(error)}
                    log.warning("a session could not be ended", extra=facts)


def _sessions(leftover: dict[str, object]) -> list[int]:
    ids = leftover.get("sessions")
    return [int(session_id) for session_id in ids] if isinstance(ids, list) else []
