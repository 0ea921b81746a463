"""Writers that a hold keeps waiting."""

from __future__ import annotations

import threading

from tests.daemon.mariadb import Server
from tests.daemon.mysql_holds import INSERT
from tests.waiting import wait_until


class Writers:
    """Four sessions that insert rows as fast as they are acknowledged, and count them."""

    def __init__(self, server: Server, gtid_next: str = "AUTOMATIC") -> None:
        self.acked = 0
        self.threads = [threading.Thread(target=self._write) for _ in range(4)]
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = server
        self._gtid_next = gtid_next

    def __enter__(self) -> Writers:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self.threads:
            thread.join()

    def settled(self) -> int:
        """How many are acknowledged once all of them wait: then the server answers nobody any more."""
        waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for%lock'"
        wait_until(lambda: self._server.value(waiting) == len(self.threads))
        return self.acked

    def _write(self) -> None:
        with self._server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET gtid_next = '{self._gtid_next}'")
            while not self._over.is_set():
                cursor.execute(INSERT)
                with self._lock:
                    self.acked += 1
