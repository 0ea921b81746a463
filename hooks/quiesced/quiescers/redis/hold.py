"""One hold of a Redis server: writes paused by the server itself, and proof that the pause never lapsed.

A pause belongs to no connection, so no shutdown of a socket ends it: it ends with UNPAUSE, or by itself when the stall
budget is over. The proof is a client that is kept waiting: had the pause lapsed, it would have its answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Callable

from quiesced.errors import Refused
from quiesced.messages import ApplicationWitness
from quiesced.quiescers.base import Budget, HeldBy, Watched
from quiesced.quiescers.redis.session import LOST, Options, Probe, Session, answering

ENGINE = "redis"
AOF, RDB = "aof", "rdb"
REASONS = {
    AOF: "appendonly is on: what is in its file when writes pause is all there is",
    RDB: "appendonly is off: a dump is written before the hold, and again in it when anything has changed since",
}
RUN_ID = "run_id"
"""Key of a leftover: which server process was paused."""
_PAUSE_S = 0.002

log = logging.getLogger(__name__)


class RedisHold:
    """See base.Hold."""

    held_by = HeldBy.LOCK

    def __init__(self, name: str, options: Options, control: Session, probe: Probe, mode: str, run_id: str) -> None:
        self.name = name
        self.leftover: dict[str, object] = {RUN_ID: run_id}
        self._options = options
        self._control = control
        self._probe = probe
        self._mode = mode
        self._run_id = run_id
        self._durable = ""
        self._paused = False
        self._released = False

    def sockets(self) -> tuple[int, ...]:
        """See base.Hold: no connection's end would end the pause."""
        return ()

    def quiesce(self, budget: Budget) -> None:
        """Pause writes, have the probe kept waiting, and wait until all that was acknowledged is in a file."""
        try:
            with answering(self.name):
                self._paused = True  # before: an answer that was lost may hide a pause
                self._control.pause(budget.acquire_left_s() + budget.hold_limit_s)
                self._probe.ask()
                self._wait(budget, self._probe_waits, "acquire_timeout", "writes were not paused in time")
                self._durable = self._written(budget)
        except Refused:
            self.release()
            raise

    def _probe_waits(self) -> bool:
        return self._control.keeps_waiting(self._probe.id)

    def _written(self, budget: Budget) -> str:
        """Bring everything into a file; the freeze, or the write-out that stands for it, brings the file to disk."""
        if self._mode == AOF:
            self._wait(budget, self._aof_is_written, "not_durable", "the append-only file was not written in time")
            return "under the pause the append-only file's buffer was empty"
        if self._persistence()["rdb_changes_since_last_save"]:
            self._control.save()
        why_not = "no dump was complete in time; set appendonly yes, or allow more time"
        self._wait(budget, self._dump_is_whole, "not_durable", why_not)
        return "under the pause nothing had changed since the last dump"

    def _aof_is_written(self) -> bool:
        found = self._persistence()
        return not int(found["aof_buffer_length"]) and found["aof_last_write_status"] == "ok"

    def _dump_is_whole(self) -> bool:
        found = self._persistence()
        return not found["rdb_changes_since_last_save"] and not found["rdb_bgsave_in_progress"]

    def _persistence(self) -> dict[str, Any]:
        return self._control.info("persistence")

    def _wait(self, budget: Budget, done: Callable[[], bool], code: str, what: str) -> None:
        while not done():
            if budget.acquire_left_s() <= 0:
                raise Refused(code, f"{self.name}: {what}")
            time.sleep(_PAUSE_S)

    def witness(self) -> ApplicationWitness:
        """Ask the server; whatever it does not answer is not there."""
        try:
            alive = str(self._control.info("server")["run_id"]) == self._run_id
            shown, evidence = self._look_at_pause()
            position = self._position()
        except LOST as error:
            alive, shown, evidence, position = False, False, f"the server could not be asked: {error}", {}
        return ApplicationWitness(
            name=self.name,
            engine=ENGINE,
            session=self._run_id,
            session_alive=alive,
            lock_shown=shown,
            lock_evidence=evidence,
            position=position,
            durable=bool(self._durable),
            durable_evidence=self._durable or "not all was seen in a file",
            held_by=self.held_by.value,
            mode=self._mode,
            mode_reason=REASONS[self._mode],
        )

    def _look_at_pause(self) -> tuple[bool, str]:
        if not self._paused or self._probe.answered():
            return False, "writes are not paused: a probe that a pause holds back was answered"
        if not self._control.keeps_waiting(self._probe.id):
            return False, "the server does not list the probe as kept waiting"
        return True, "the server keeps a probe waiting, and has not answered it since writes were paused"

    def _position(self) -> dict[str, str]:
        """Read counters that any write moves: the append-only file's size or changes since the dump, and the offset."""
        persistence, replication = self._control.info("persistence"), self._control.info("replication")
        found = {"replication_id": replication["master_replid"], "offset": replication["master_repl_offset"]}
        if self._mode == AOF:
            found["aof_size"] = persistence["aof_current_size"]
        else:
            found["changes_since_dump"] = persistence["rdb_changes_since_last_save"]
        return {key: str(value) for key, value in found.items()}

    def watched(self) -> Watched:
        """See base.Hold: clients that wait are not counted."""
        return Watched()

    def attachments(self) -> Mapping[str, str]:
        """See base.Hold: none."""
        return {}

    def release(self) -> None:
        """Let writes go on, over a new connection when this one is gone, and close."""
        if self._released:
            return
        if self._paused:
            unpause(self._control, self._options, self._run_id, self.name)
        self._probe.close()
        self._control.close()
        self._released = True  # last: one that broke off is asked for again, and every part of it may be done twice


def unpause(control: Session, options: Options, run_id: object, name: str) -> None:
    """End the pause of one server process, over this connection or a new one. Never raises."""
    try:
        control.unpause()
        return
    except LOST as error:
        log.warning("the control connection was gone", extra={"application": name, "reason": str(error)})
    heal(options, run_id, name)


def heal(options: Options, run_id: object, name: str) -> None:
    """End the pause of one server process over a new connection; another process has none of ours. Never raises."""
    try:
        again = Session(options)
        try:
            if again.info("server")["run_id"] == run_id:
                again.unpause()
        finally:
            again.close()
    except LOST as error:
        facts = {"application": name, "reason": str(error)}
        log.error("a pause of writes could not be ended; it ends by itself at the hold's limit", extra=facts)
