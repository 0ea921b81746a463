"""How many targets of a batch are under way: few when all workers of a run begin, and in the end as many as may be."""

from __future__ import annotations

import threading

from quiesce.worker import Room
from tests.waiting import wait_until


class Takers:
    """Threads that each want a place, and how many have one."""

    def __init__(self, room: Room, count: int) -> None:
        self.placed = 0
        self._room = room
        self._lock = threading.Lock()
        for _ in range(count):
            threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        self._room.take()
        with self._lock:
            self.placed += 1


def test_each_that_is_done_makes_room_for_two_until_there_are_as_many_as_may_be() -> None:
    room = Room(2, 4)
    takers = Takers(room, 9)
    for placed in (2, 4, 6, 7, 8, 9):  # two more for each of the first two that are done, then one
        wait_until(lambda placed=placed: takers.placed == placed)  # type: ignore[misc]
        room.give()


def test_no_more_are_under_way_than_may_be() -> None:
    room = Room(2, 4)
    takers = Takers(room, 20)
    for done in range(1, 15):
        room.give()
        wait_until(lambda done=done: takers.placed == min(2 + 2 * done, 4 + done))  # type: ignore[misc]
        assert takers.placed - done <= 4
