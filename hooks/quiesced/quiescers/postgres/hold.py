"""A hold of a PostgreSQL server: the freeze of its filesystems keeps its writers still, and one kept session watches.

While they are frozen nothing here may need a write: the position is read from shared memory, in a statement that ``prepare``
has run before, so that the catalog it needs is in memory and no dirty page has to make room for it. A backend also puts
what it counted into shared statistics before it waits for the next statement, once a second at most (pgstat_report_stat).
Where dynamic_shared_memory_type is ``mmap`` these are files of the data directory, so it is told to do it before the freeze;
a look counts nothing that there would be to put. Once the position stands still, the files say to the record where the WAL
ends (postgres/wal).
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from typing import Callable

from quiesced.errors import Refused
from quiesced.messages import ApplicationWitness
from quiesced.quiescers.base import Budget, HeldBy, Watched
from quiesced.quiescers.postgres.guard import EMIT
from quiesced.quiescers.postgres.session import LOST, STATEMENT_TIMEOUT_S, Session, answering, words
from quiesced.quiescers.postgres.wal import Wal

ENGINE = "postgres"
STOP_LIMIT_S = 3.0
"""Longest that ending a backup may take, which keeps the answer to the release waiting; it does not wait for the archive."""
DEAD_MAN_MARGIN_S = 5.0
STILL_LOOKS = 3
STILL_PAUSE_S = 0.0015
LOOK_LIMIT_S, LOOK_AGAIN_LIMIT_S = 1.0, 0.25
"""Longest wait for a look at what is held, and for the last one: writers wait while it is looked for."""
STILL_LIMIT_S = 1.0
"""A write that came just before the freeze may move the position a moment later; not for as long as this."""

_POSITION = "SELECT pg_backend_pid(), pg_current_wal_lsn()::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"

log = logging.getLogger(__name__)


class PostgresHold:
    """See base.Hold. ``backup_start_lsn`` is empty when no backup was begun in the session."""

    held_by = HeldBy.FREEZE

    def __init__(
        self,
        name: str,
        session: Session,
        *,
        mode: tuple[str, str],
        wal: Wal,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.session = session
        self.mode, self.mode_reason = mode
        self.backup_start_lsn = ""
        self._wal = wal
        self._flushed_to = ""
        self.leftover: dict[str, object] = {"pid": session.pid, "started": session.started}
        self._sleep = sleep
        self._monotonic = monotonic
        self._durable_evidence = ""
        self._stood_at: dict[str, str] = {}
        self._ends_at: dict[str, tuple[str, str]] = {}
        self._attachments: dict[str, str] = {}

    def begin(self, limit_s: float) -> None:
        """Checkpoint, so that the freeze finds little to write; begin the backup; rehearse. Raises what LOST names."""
        self.session.rows(f"SET statement_timeout = {int(limit_s * 1000)}")
        within_s = limit_s + STATEMENT_TIMEOUT_S
        if self.mode == "backup_api":
            call = "pg_backup_start('quiesced', true)"
            if self.session.version < 150000:
                call = "pg_start_backup('quiesced', true, false)"
            self.backup_start_lsn = str(self.session.value(f"SELECT {call}::text", within_s=within_s))
        else:
            self.session.rows("CHECKPOINT", within_s=within_s)
        self.session.rows("SET statement_timeout = 0")
        # Not "on": that would wait for synchronous standbys, and what counts here is this server's own disk.
        self.session.rows("SET synchronous_commit = local")
        self._flush(STATEMENT_TIMEOUT_S)
        self._look(STATEMENT_TIMEOUT_S)

    def sockets(self) -> tuple[int, ...]:
        """See base.Hold: a backup ends with its session."""
        return (self.session.fileno(),)

    def quiesce(self, budget: Budget) -> None:
        """Bring everything committed so far to disk; the freeze that follows holds it there."""
        left_s = budget.acquire_left_s()
        if left_s <= 0:
            self.release()
            raise Refused("acquire_timeout", f"{self.name}: no time was left to flush its WAL")
        try:
            with answering(self.name):
                self._arm_dead_man(budget.hold_limit_s + left_s + DEAD_MAN_MARGIN_S)
                self._durable_evidence = self._flush(min(left_s, STATEMENT_TIMEOUT_S))
        except Refused:
            self.release()
            raise

    def _arm_dead_man(self, idle_s: float) -> None:
        if self.session.version >= 140000:
            self.session.rows(f"SET idle_session_timeout = {int(idle_s * 1000)}")

    def _flush(self, within_s: float) -> str:
        """Commit something of our own, which flushes all WAL before it; return the proof, or nothing when there is none."""
        target = self.session.value("SELECT pg_current_wal_insert_lsn()::text", within_s=within_s)
        self.session.rows(EMIT, within_s=within_s)
        self._flushed_to = str(target)
        query = "SELECT pg_current_wal_flush_lsn()::text, pg_current_wal_flush_lsn() >= CAST(:target AS pg_lsn)"
        if self.session.version >= 150000:  # before, statistics went to a process of their own
            query += ", pg_stat_force_next_flush()::text"
        flushed, enough, *_ = self.session.rows(query, within_s=within_s, target=target)[0]
        return f"WAL is flushed to {flushed}, and {target} had been inserted before the freeze" if enough else ""

    def witness(self) -> ApplicationWitness:
        """Look until the position stands still: under the freeze of its filesystems no WAL can be written."""
        try:
            position, still = self._stand_still()
            position, note = self._exactly(position) if still else (position, "")
            why = "" if still else f"the position still moved after {STILL_LIMIT_S:g} s: its WAL is not frozen"
        except LOST as error:
            position, still, note, why = self._without_an_answer(error)
        evidence = f"{STILL_LOOKS} looks in a row found the WAL at {self._stood_at.get('wal_lsn')}{note}" if still else why
        return ApplicationWitness(
            name=self.name,
            engine=ENGINE,
            session=self.session.identity,
            session_alive=bool(position),
            lock_shown=still,
            lock_evidence=evidence,
            position=position,
            durable=bool(self._durable_evidence),
            durable_evidence=self._durable_evidence or "the WAL could not be shown to be on disk",
            held_by=self.held_by.value,
            mode=self.mode,
            mode_reason=self.mode_reason,
        )

    def _stand_still(self) -> tuple[dict[str, str], bool]:
        ends_s = self._monotonic() + STILL_LIMIT_S
        position, equal = self._look(LOOK_AGAIN_LIMIT_S if self._stood_at else LOOK_LIMIT_S), 1
        if position == self._stood_at:  # the second witness: it has stood there since the first
            return position, True
        while equal < STILL_LOOKS and self._monotonic() < ends_s:
            self._sleep(STILL_PAUSE_S)
            found = self._look()
            position, equal = found, equal + 1 if found == position else 1
        self._stood_at = position if equal >= STILL_LOOKS else {}
        return position, equal >= STILL_LOOKS

    def _exactly(self, position: dict[str, str]) -> tuple[dict[str, str], str]:
        """Put the end of the WAL on disk in the place of the server's word; looked for once for each that it gives."""
        written = position["wal_lsn"]
        if written not in self._ends_at:
            self._ends_at[written] = self._end_on_disk(int(position["timeline"]), written)
        end, note = self._ends_at[written]
        return {**position, "wal_lsn": end}, note

    def _without_an_answer(self, error: Exception) -> tuple[dict[str, str], bool, str, str]:
        """Judge a server that did not answer the last look by its files; without them, it is not seen.

        Whatever a backend needs to write waits for the thaw, and it with it. What the freeze holds is the disk, and in mode
        ``freeze`` nothing depends on the session.
        """
        position = self._stood_at
        silent = isinstance(error, (TimeoutError, socket.timeout)) and self.session.is_open()
        if self.mode != "freeze" or not position or not silent:
            return {}, False, "", words(error)
        try:
            end = self._wal.end(int(position["timeline"]), self._flushed_to, position["wal_lsn"])
        except OSError:
            end = None
        if end is None or end != self._ends_at[position["wal_lsn"]][0]:
            return {}, False, "", words(error)
        note = (
            f"; asked again it was silent for {LOOK_AGAIN_LIMIT_S:g} s, its session is open, its WAL on disk ends at {end}"
        )
        return {**position, "wal_lsn": end}, True, note, ""

    def _end_on_disk(self, timeline: int, written: str) -> tuple[str, str]:
        try:
            end = self._wal.end(timeline, self._flushed_to, written)
        except OSError as error:
            return written, f"; its files could not be read ({error.strerror}), and may have a record more or less"
        if end is None:
            return written, "; where it ends on disk could not be told, which may be a record further or less far"
        return end, f", and on disk it ends at {end}"

    def _look(self, within_s: float = LOOK_LIMIT_S) -> dict[str, str]:
        pid, lsn, timeline = self.session.rows(_POSITION, within_s=within_s)[0]
        if pid != self.session.pid:
            raise ConnectionError(f"another backend answers: {pid}")
        found = {"wal_lsn": str(lsn), "timeline": str(int(timeline, 16))}
        return {**found, "backup_start_lsn": self.backup_start_lsn} if self.backup_start_lsn else found

    def watched(self) -> Watched:
        """See base.Hold: writers wait for the freeze only, and are not looked at."""
        return Watched()

    def release(self) -> None:
        """End the backup, whose label is due then, and the session."""
        if self.backup_start_lsn and not self._attachments and self.session.fileno() >= 0:
            try:
                self._stop_backup()
            except LOST as error:
                log.warning("a backup could not be ended in order", extra={"application": self.name, "reason": words(error)})
        self.session.close()

    def _stop_backup(self) -> None:
        lsn, label, spaces = self.session.rows(_stop_statement(self.session.version), within_s=STOP_LIMIT_S)[0]
        files = {"backup_label": str(label), "tablespace_map": str(spaces or ""), "backup_stop_lsn": f"{lsn}\n"}
        self._attachments = {name: content for name, content in files.items() if content.strip()}

    def attachments(self) -> Mapping[str, str]:
        """See base.Hold: what goes into the data directory, and the end of the WAL that a restore must reach."""
        return self._attachments


def _stop_statement(version: int) -> str:
    """End a backup without waiting for the archive: before version 15 under the older name."""
    if version >= 150000:
        return "SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(false)"
    return "SELECT lsn::text, labelfile, spcmapfile FROM pg_stop_backup(false, false)"
