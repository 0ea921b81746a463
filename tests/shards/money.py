"""An application that moves money between database servers, and the sum that must come out whatever moment is restored.

A transfer is two transactions: a debit with an outbox row on one server, then a credit with an inbox row on another. At
any one moment the balances and what is on its way make up the whole. A set of snapshots of different moments may have a
credit without its debit, and then there is more money than there ever was.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pymysql

ACCOUNTS, BALANCE = 20, 1000
_SCHEMA = (
    "CREATE DATABASE bank",
    "CREATE TABLE bank.accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE bank.outbox (id CHAR(32) PRIMARY KEY, shard INT NOT NULL, amount BIGINT NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE bank.inbox (id CHAR(32) PRIMARY KEY, amount BIGINT NOT NULL) ENGINE=InnoDB",
)


@dataclass(frozen=True)
class Shard:
    """What one server has: the sum of its balances, and transfers by id with their amounts."""

    balance: int
    outbox: dict[str, int]
    inbox: dict[str, int]


@dataclass(frozen=True)
class Sum:
    """The whole, counted over every server of one restore."""

    total: int
    credits_without_debit: int

    def is_exact(self, shards: int) -> bool:
        """Whether it is what was there at the beginning."""
        return self.total == shards * ACCOUNTS * BALANCE and not self.credits_without_debit


def open_bank(socket: Path) -> None:
    """Make a server's accounts."""
    with pymysql.connect(unix_socket=str(socket), user="root", autocommit=True) as session, session.cursor() as cursor:
        for statement in _SCHEMA:
            cursor.execute(statement)
        cursor.executemany("INSERT INTO bank.accounts VALUES (%s, %s)", [(n, BALANCE) for n in range(ACCOUNTS)])


def read(session: pymysql.Connection) -> Shard:
    """Read what one server has."""
    with session.cursor() as cursor:
        cursor.execute("SELECT SUM(balance) FROM bank.accounts")
        row = cursor.fetchone()
        cursor.execute("SELECT id, amount FROM bank.outbox")
        outbox = {str(key): int(amount) for key, amount in cursor.fetchall()}
        cursor.execute("SELECT id, amount FROM bank.inbox")
        inbox = {str(key): int(amount) for key, amount in cursor.fetchall()}
    assert row is not None
    return Shard(int(row[0]), outbox, inbox)


def count(shards: Sequence[Shard]) -> Sum:
    """Count balances and what is on its way."""
    sent = {key: amount for shard in shards for key, amount in shard.outbox.items()}
    received = {key for shard in shards for key in shard.inbox}
    on_its_way = sum(amount for key, amount in sent.items() if key not in received)
    return Sum(sum(shard.balance for shard in shards) + on_its_way, len(received - sent.keys()))


class Bank:
    """Clerks that move money between servers until they are told to stop."""

    def __init__(self, sockets: Sequence[Path], clerks: int = 4) -> None:
        self._sockets = tuple(sockets)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._done = 0
        self._failed: list[BaseException] = []
        self._clerks = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(clerks)]

    def start(self) -> None:
        """Begin."""
        for clerk in self._clerks:
            clerk.start()

    def stop(self) -> None:
        """End, each after its transfer."""
        self._stop.set()
        for clerk in self._clerks:
            clerk.join()
        assert not self._failed, self._failed

    @property
    def done(self) -> int:
        """How many transfers have been made."""
        with self._lock:
            return self._done

    def _work(self, number: int) -> None:
        draw = random.Random(number)
        try:
            sessions = [pymysql.connect(unix_socket=str(socket), user="root") for socket in self._sockets]
            while not self._stop.is_set():
                self._transfer(sessions, draw)
        except BaseException as error:
            self._failed.append(error)
            raise

    def _transfer(self, sessions: Sequence[pymysql.Connection], draw: random.Random) -> None:
        source, target = draw.sample(range(len(sessions)), 2)
        key, amount, account = uuid.uuid4().hex, draw.randint(1, 50), draw.randrange(ACCOUNTS)
        with sessions[source].cursor() as cursor:
            cursor.execute("UPDATE bank.accounts SET balance = balance - %s WHERE id = %s", (amount, account))
            cursor.execute("INSERT INTO bank.outbox VALUES (%s, %s, %s)", (key, target, amount))
        sessions[source].commit()
        with sessions[target].cursor() as cursor:
            cursor.execute("UPDATE bank.accounts SET balance = balance + %s WHERE id = %s", (amount, account))
            cursor.execute("INSERT INTO bank.inbox VALUES (%s, %s)", (key, amount))
        sessions[target].commit()
        with self._lock:
            self._done += 1
