"""PostgreSQL: checked, guarded, checkpointed and watched (postgres/hold), and healed after a crash.

Two ways to hold, and the freeze keeps writers still in both. *freeze*: everything lies on the set, so the frozen disks are
what a crash would leave, cut at one moment. *backup_api*: something lies elsewhere, so the backup API says what a restore
needs besides. (Manual, 26.3: a file system snapshot of everything at one moment needs no backup.)
"""

from __future__ import annotations

import logging
from typing import Callable

from quiesced.errors import Refused
from quiesced.messages import Refusal
from quiesced.quiescers.base import Budget, Report, Scene
from quiesced.quiescers.postgres.guard import missing_backup_grants, missing_grants, obstacles
from quiesced.quiescers.postgres.hold import ENGINE, PostgresHold
from quiesced.quiescers.postgres.paths import choose_mode, wal_of, written_paths
from quiesced.quiescers.postgres.session import APPLICATION_NAME, LOST, Options, Session, answering, connect, words

log = logging.getLogger(__name__)

__all__ = ["ENGINE", "PostgresQuiescer"]


class PostgresQuiescer:
    """See base.Quiescer."""

    engine = ENGINE

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._options = options

    def check(self, scene: Scene) -> Report:
        """Look at version, paths, privileges and everything that the guard looks at."""
        session = connect(self._options, self.name)
        try:
            with answering(self.name):
                return self._look(session, scene)
        finally:
            session.close()

    def _look(self, session: Session, scene: Scene) -> Report:
        lacking = missing_grants(session, self._options.user, self.name)
        if lacking:  # without them, neither paths nor obstacles are all to be seen
            return Report(session.version_text, (), lacking)
        written = written_paths(session, self.name)
        mode, reason = choose_mode(self._options, written, scene)
        refusals = (*written.refusals, *self._against(session, mode))
        return Report(session.version_text, written.paths, refusals, written.scratch, mode, reason)

    def _against(self, session: Session, mode: str) -> tuple[Refusal, ...]:
        grants = missing_backup_grants(session, self._options.user, self.name) if mode == "backup_api" else ()
        return (*grants, *obstacles(session, self.name, mode))

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> PostgresHold:
        """Guard, connect, checkpoint, and begin the backup where there is to be one."""
        del budget  # nobody waits for a checkpoint: it has a limit of its own
        session = connect(self._options, self.name)
        try:
            with answering(self.name):
                report = self._look(session, scene)
                for refusal in report.refusals:
                    raise Refused(refusal.code, refusal.message)
                wal = wal_of(session, report.paths)
            hold = PostgresHold(self.name, session, mode=(report.mode, report.mode_reason), wal=wal)
            register(hold.leftover)
            with answering(self.name):
                hold.begin(self._options.checkpoint_limit_s)
        except BaseException:  # whatever it is goes on, and no session stays behind
            session.close()
            raise
        return hold

    def heal(self, leftover: dict[str, object]) -> None:
        """End the session that an earlier daemon left, and with it its backup."""
        pid, started = leftover.get("pid"), leftover.get("started")
        if not isinstance(pid, int) or not isinstance(started, str):
            return
        try:
            session = Session(self._options)
        except LOST as error:  # a server that is down has no sessions, either
            log.warning("an application could not be reached to heal it", extra=self._facts(error))
            return
        try:
            session.rows(_END, pid=pid, started=started, application=APPLICATION_NAME)
        except LOST as error:
            log.error("an application could not be healed", extra=self._facts(error))
        finally:
            session.close()

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        """See base.Quiescer: whether the server still lists the session."""
        try:
            session = Session(self._options)
        except LOST as error:
            return (f"{self.name}: cannot be asked whether the session has ended: {words(error)}",)
        try:
            found = session.rows(_LISTED, pid=leftover.get("pid"), started=leftover.get("started"))
        except LOST as error:
            return (f"{self.name}: cannot be asked whether the session has ended: {words(error)}",)
        finally:
            session.close()
        return tuple(f"{self.name}: backend {pid} has not ended" for (pid,) in found)

    def _facts(self, error: Exception) -> dict[str, str]:
        return {"application": self.name, "reason": words(error)}


_LISTED = """
SELECT pid FROM pg_stat_activity WHERE pid = CAST(:pid AS int) AND backend_start = CAST(:started AS timestamptz)
"""
_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = :pid AND backend_start = CAST(:started AS timestamptz) AND usename = current_user
   AND application_name = :application
"""
