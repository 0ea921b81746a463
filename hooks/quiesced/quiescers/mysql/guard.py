"""What must not be there when a global read lock is asked for, because writers would queue up behind it.

Killing the lock request later does not undo the stall (facts: MySQL manual, FLUSH TABLES), so the guard looks first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Optional

from quiesced.messages import Refusal
from quiesced.quiescers.mysql.lock import backup_is_refused, commit_is_refused, mysql_lists_locks
from quiesced.quiescers.mysql.session import Flavor, Options, Session

MAX_SHOWN = 5
_HEAD = 60
_PROCESSES = (
    "SELECT id, user, host, command, time, COALESCE(state, ''), COALESCE(info, '') FROM information_schema.processlist"
)
_TRANSACTIONS = (
    "SELECT p.id, p.user, p.host, p.command, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), '', '' "
    "FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE p.command = 'Sleep'"
)
_OTHER_LOCKS = (
    "SELECT DISTINCT t.processlist_id FROM performance_schema.metadata_locks l "
    "JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id "
    "WHERE l.object_type IN ('GLOBAL', 'COMMIT', 'BACKUP LOCK') AND l.lock_type = 'SHARED' AND t.processlist_id <> %s"
)
_DDL = re.compile(
    r"\s*(ALTER|OPTIMIZE|REPAIR|TRUNCATE|RENAME|DROP\s+(?!TEMPORARY)|CREATE\s+(?!TEMPORARY)|LOAD\s+DATA)\b", re.I
)
_BACKUP = re.compile(r"\s*(FLUSH\s.*WITH\s+READ\s+LOCK|BACKUP\s+STAGE|LOCK\s+INSTANCE|LOCK\s+TABLES?)\b", re.I | re.S)
_WAITING = re.compile(r"Waiting for (backup lock|global read lock|commit lock|table flush)", re.I)
_RUNNING = ("Query", "Execute")


@dataclass(frozen=True)
class Process:
    """One session as the server lists it; ``elapsed_s`` of its statement, or of its transaction when it is idle."""

    id: int
    user: str
    host: str
    command: str
    elapsed_s: int
    state: str
    statement: str

    @property
    def running(self) -> bool:
        """Whether a statement of a client runs; replication threads and the server's own do not count."""
        return self.command in _RUNNING and self.user != "system user"

    @property
    def who(self) -> str:
        """The session in words."""
        return f"session {self.id} ({self.user}@{self.host})"

    def __str__(self) -> str:
        head = " ".join(self.statement.split())[:_HEAD]
        doing = f'has run "{head}"' if head else "has been idle"
        return f"{self.who} {doing} for {self.elapsed_s} s"


def processes(control: Session, query: str = _PROCESSES) -> tuple[Process, ...]:
    """List the sessions of the server, but for the one that asks. Needs PROCESS to see them all."""
    rows = control.rows(query)
    listed = (
        Process(id_, who, host, command, int(age or 0), state, info) for id_, who, host, command, age, state, info in rows
    )
    return tuple(process for process in listed if process.id != control.id)


def guard(
    control: Session, flavor: Flavor, options: Options, name: str, *, waits_for_statements: bool
) -> tuple[Refusal, ...]:
    """Say what stands in the way of a lock, in words that name it. Raises what LOST names.

    A lock that waits for commits only passes by long statements and idle transactions.
    """
    standing = list(_in_the_way(control, options, waits_for_statements))
    found = [f"{words}; wait for it or end it, then run again" for words in standing]
    lock = _foreign_lock(control, flavor)
    if lock:
        found.append(lock)
    return tuple(Refusal("blocked", f"{name}: {words}") for words in found[:MAX_SHOWN])


def _in_the_way(control: Session, options: Options, waits_for_statements: bool) -> Iterator[str]:
    long_s = options.long_statement_s if waits_for_statements else math.inf
    for process in processes(control):
        if process.running and _stands(process, long_s):
            yield str(process)
    if not waits_for_statements:
        return
    for process in processes(control, _TRANSACTIONS):
        if process.elapsed_s >= options.idle_transaction_s:
            who = f"session {process.id} ({process.user}@{process.host})"
            yield f"{who} has kept a transaction open for {process.elapsed_s} s"


def _stands(process: Process, long_statement_s: float) -> bool:
    by_kind = _DDL.match(process.statement) or _BACKUP.match(process.statement) or _WAITING.match(process.state)
    return bool(by_kind) or process.elapsed_s >= long_statement_s


def _foreign_lock(control: Session, flavor: Flavor) -> str:
    """Name a global lock or another backup; empty when there is none."""
    if flavor.mariadb:
        if commit_is_refused(control):
            return "another session holds a global read lock, or a backup blocks commits; let it end, then run again"
        backup = "another backup is under way (BACKUP STAGE); let it end, then run again"
        return backup if backup_is_refused(control) else ""
    if not mysql_lists_locks(control):
        return ""  # refused already, for want of a witness
    holders = [str(row[0]) for row in control.rows(_OTHER_LOCKS, control.id)]
    return f"session {', '.join(holders)} holds a global or backup lock; let it end, then run again" if holders else ""


def who_stands_in_the_way(control: Session, own_ids: Collection[int]) -> str:
    """Name the oldest statement or transaction that a lock request may be waiting for. Raises what LOST names."""
    others = [process for process in processes(control) if process.id not in own_ids]
    running = [process for process in others if process.running and not _WAITING.match(process.state)]
    idle = [process for process in processes(control, _TRANSACTIONS) if process.id not in own_ids]
    suspects = sorted(running, key=_age, reverse=True) or sorted(idle, key=_age, reverse=True)
    if suspects:
        return str(suspects[0])
    return "no running statement is in the way; a session may hold LOCK TABLES"


def _age(process: Process) -> int:
    return process.elapsed_s


_GRANTS = "SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = %s"
_Need = tuple[frozenset[str], str]
_ALWAYS: tuple[_Need, ...] = ((frozenset({"RELOAD"}), "RELOAD"), (frozenset({"PROCESS"}), "PROCESS"))
_POSITION_MARIADB: _Need = (frozenset({"BINLOG MONITOR", "REPLICATION CLIENT", "SUPER"}), "BINLOG MONITOR")
_POSITION_MYSQL: _Need = (frozenset({"REPLICATION CLIENT", "SUPER"}), "REPLICATION CLIENT")
_SETTING_MARIADB: _Need = (frozenset({"SUPER"}), "SUPER")
_SETTING_MYSQL: _Need = (frozenset({"SYSTEM_VARIABLES_ADMIN", "SUPER"}), "SYSTEM_VARIABLES_ADMIN")


_REPLICA_MARIADB: _Need = (frozenset({"REPLICATION SLAVE ADMIN", "SUPER"}), "REPLICATION SLAVE ADMIN")
_REPLICA_MYSQL: _Need = (frozenset({"REPLICATION_SLAVE_ADMIN", "SUPER"}), "REPLICATION_SLAVE_ADMIN")


def granted(control: Session) -> frozenset[str]:
    """Name the privileges that this user has on everything, in capitals. Raises what LOST names."""
    user, _, host = _account(control)
    return frozenset(str(row[0]).upper() for row in control.rows(_GRANTS, f"'{user}'@'{host}'"))


def _account(control: Session) -> tuple[str, str, str]:
    return str(control.value("SELECT CURRENT_USER()")).rpartition("@")


def missing_grants(
    control: Session, flavor: Flavor, name: str, flush_log: int, *, stops_replication: bool
) -> Optional[Refusal]:
    """Name the GRANT that a hold needs and this user lacks. ``flush_log`` other than 1 has to be changed for a while.

    Roles are not seen here: grant to the user itself. Raises what LOST names.
    """
    user, _, host = _account(control)
    held = granted(control)
    needs = [*_needs(flavor, flush_log), *_replica_needs(flavor, stops_replication)]
    lacking = [word for accepted, word in needs if not accepted & held]
    if lacking:
        grant = f"GRANT {', '.join(lacking)} ON *.* TO '{user}'@'{host}'"
        why = f" (innodb_flush_log_at_trx_commit is {flush_log} and has to be 1 during a hold)" if flush_log != 1 else ""
        return Refusal("application_unreachable", f"{name}: the user lacks what a hold needs{why}; run {grant}")
    if not flavor.mariadb and not mysql_lists_locks(control):
        return Refusal(
            "application_unreachable",
            f"{name}: performance_schema.metadata_locks cannot be read, so the lock cannot be shown; set performance_schema "
            "= ON, leave its instrument wait/lock/metadata/sql/mdl enabled, and run GRANT SELECT ON performance_schema.* "
            f"TO '{user}'@'{host}'",
        )
    return None


def _needs(flavor: Flavor, flush_log: int) -> Iterator[_Need]:
    yield from _ALWAYS
    yield _POSITION_MARIADB if flavor.mariadb else _POSITION_MYSQL
    if flush_log != 1:
        yield _SETTING_MARIADB if flavor.mariadb else _SETTING_MYSQL


def _replica_needs(flavor: Flavor, stops_replication: bool) -> Iterator[_Need]:
    if stops_replication:
        yield _REPLICA_MARIADB if flavor.mariadb else _REPLICA_MYSQL
