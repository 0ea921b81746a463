"""The applications of one hold: prepared in the declared order, locked in it, released in reverse.

Each is registered before it is called, so that ``release`` finds it however far the others came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from quiesced.messages import ApplicationWitness, Attachment, Stall
from quiesced.quiescers.base import Budget, HeldBy, Hold, Quiescer, Scene
from quiesced.state import Leftover

RELEASES = 2
"""How often an application is released when that fails: it may have run out of memory half-way."""


class Applications:
    """Every application that one hold covers. Methods are called from one thread at a time, but for ``watched`` ones."""

    def __init__(self, quiescers: Sequence[Quiescer]) -> None:
        self._quiescers = quiescers
        self._holds: list[Hold] = []
        self._leftovers: dict[str, Leftover] = {}

    def prepare(self, budget: Budget, scene: Scene, store: Callable[[], None]) -> None:
        """Do everything slow for each, and hold nothing. Raises Refused; then ``release`` is due.

        ``store`` keeps ``leftovers`` for a later daemon; it is called before an application's setting is changed.
        """
        for quiescer in self._quiescers:
            self._prepare_one(quiescer, budget, scene, store)

    def _prepare_one(self, quiescer: Quiescer, budget: Budget, scene: Scene, store: Callable[[], None]) -> None:
        def register(content: dict[str, object]) -> None:
            self._leftovers[quiescer.name] = Leftover(quiescer.engine, quiescer.name, content)
            store()

        hold = quiescer.prepare(budget, scene, register)
        self._holds.append(hold)
        self._leftovers[quiescer.name] = Leftover(quiescer.engine, quiescer.name, hold.leftover)

    @property
    def leftovers(self) -> tuple[Leftover, ...]:
        """What a later daemon would have to undo."""
        return tuple(self._leftovers.values())

    @property
    def sockets(self) -> tuple[int, ...]:
        """Descriptors whose shutdown ends the holds."""
        return tuple(fd for hold in self._holds for fd in hold.sockets())

    @property
    def stop_writing(self) -> bool:
        """Whether there are any, and each stops its own writers: then one disk is cut at one moment without a freeze."""
        return bool(self._holds) and all(hold.held_by is HeldBy.LOCK for hold in self._holds)

    def quiesce(self, budget: Budget, after_each: Callable[[str], None]) -> None:
        """Take each hold in order; ``after_each`` is given the name of the one just taken. Raises Refused."""
        for hold in self._holds:
            hold.quiesce(budget)
            after_each(hold.name)

    def witness(self) -> tuple[ApplicationWitness, ...]:
        """Observe each."""
        return tuple(hold.witness() for hold in self._holds)

    def stalls(self) -> tuple[Stall, ...]:
        """Return what each application's writers had to wait so far."""
        seen = [(hold.name, hold.watched()) for hold in self._holds]
        return tuple(Stall(name, watched.peak_writers, watched.writer_s, watched.samples) for name, watched in seen)

    def too_many(self) -> str:
        """Say for which application too many writers wait; empty while the hold may go on."""
        reasons = ((hold.name, hold.watched().too_many) for hold in self._holds)
        return next((f"{name}: {reason}" for name, reason in reasons if reason), "")

    def release(self) -> tuple[str, ...]:
        """Release in reverse, and undo what a ``prepare`` that failed had changed. Returns what went wrong."""
        return (*self._release(), *self._heal_unprepared())

    def _release(self) -> Iterator[str]:
        for hold in reversed(self._holds):
            for _ in range(RELEASES):
                try:
                    hold.release()
                    break
                except Exception as error:  # noqa: BLE001 - one application's failure must not strand the others
                    yield f"{hold.name}: {error!r}"

    def _heal_unprepared(self) -> Iterator[str]:
        prepared = {hold.name for hold in self._holds}
        for quiescer in self._quiescers:
            leftover = self._leftovers.get(quiescer.name)
            if leftover and quiescer.name not in prepared:
                try:
                    quiescer.heal(leftover.content)
                except Exception as error:  # noqa: BLE001 - one application's failure must not strand the others
                    yield f"{quiescer.name}: {error!r}"

    def attachments(self) -> tuple[Attachment, ...]:
        """Return what must be kept beside the snapshots for a restore; complete only after ``release``."""
        return tuple(
            Attachment(hold.name, name, content) for hold in self._holds for name, content in hold.attachments().items()
        )
