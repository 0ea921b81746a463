"""One batch of a run that was dispatched: its targets one after the other, as fast as its allowance lets it.

check    six at a time, each in its own time: an instance that does not answer keeps no other waiting
look up  ten disks by one call, as soon as they are checked and there is room: a call for each target would be more
         than the whole account has
hold     four for each call of the allowance: one is held, two are prepared, one is written down
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timezone

import msgspec

from quiesce import facts, session
from quiesce.adapters.cbs import DISKS_PER_FILTER
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.quota import UNCHECKED
from quiesce.budget import needed_s
from quiesce.course import Course
from quiesce.errors import CloudError, UnfinishedError
from quiesce.examine import examine, grows, look_up
from quiesce.fleet import Batch
from quiesce.plan import plan_assigned
from quiesce.policies import Policy
from quiesce.procedure import carry_out
from quiesce.recording import Recorder
from quiesce.report import Report, Status, TargetReport
from quiesce.request import Request, Trigger
from quiesce.settings import Settings
from quiesce.wiring import Opened, Wiring

CHECKS_AT_ONCE = 6
FIRST_CHECKS = 2
HOLDS_PER_CALL = 4
SURE_S, LOOK_EVERY_S = 0.5, 0.02
"""How long after a preparation was asked for it is taken not to be refused, and how often that is looked at."""
AT_REST_S = 4.0
"""In this time a delivery that is at work makes at least one more snapshot, unless every target keeps it waiting."""
GATHER_S = 0.25
"""How long a look-up waits for others that it could be made with."""


class _Checked(msgspec.Struct, frozen=True):
    opened: Opened
    course: Course


class Room:
    """Places for targets that are being checked, or later, and not yet done: few at first, one more for each that is done.

    All workers of a run begin at the same time. What one looks at far ahead keeps another from its first snapshot.
    """

    def __init__(self, first: int, most: int) -> None:
        self._free = threading.Semaphore(first)
        self._lock = threading.Lock()
        self._growth = most - first

    def take(self) -> None:
        """Wait for a place, and take it."""
        self._free.acquire()

    def give(self) -> None:
        """Give one back, and another while there are not as many as there may be."""
        with self._lock:
            more = min(1, self._growth)
            self._growth -= more
        self._free.release(1 + more)


class Worker:
    """One delivery of one batch."""

    def __init__(self, batch: Batch, policy: Policy, settings: Settings, log: JsonLog) -> None:
        self._batch = batch
        self._policy = policy
        self._settings = settings
        if batch.quota_seen:
            settings = msgspec.structs.replace(settings, snapshot_quota=UNCHECKED)
        self._wiring = Wiring(settings, log, calls_per_window=batch.allowance)
        ids = {"run_id": batch.run_id, "policy": batch.policy, "trigger": batch.trigger, "batch": batch.number}
        self._recorder = Recorder(self._wiring, ids)
        self._holds_at_once = HOLDS_PER_CALL * batch.allowance
        self._room = Room(self._holds_at_once, DISKS_PER_FILTER + self._holds_at_once)
        self._checked: queue.SimpleQueue[_Checked] = queue.SimpleQueue()
        self._under_way: list[Future[None]] = []
        self._reports: list[TargetReport] = []
        self._stop = threading.Event()
        self._last_start_s = 0.0

    def execute(self, *, ends_s: float) -> Report:
        """Protect every target of the batch; ``ends_s``: when SCF ends this process, on the monotonic clock.

        Raises UnfinishedError when another delivery of the batch is at work, or the time does not do for all: SCF delivers
        again a minute later, and then what there is by then is found and what is missing is made.
        """
        opened = self._open()
        self._last_start_s = ends_s - needed_s(self._policy, self._settings)
        self._recorder.note("batch", "begun", targets=len(opened))
        with (
            ThreadPoolExecutor(max_workers=CHECKS_AT_ONCE) as checks,
            ThreadPoolExecutor(max_workers=self._holds_at_once) as holds,
        ):
            left = self._until_alone(opened, holds)
            feeding = threading.Thread(target=self._feed, args=(checks, left), name="feeding", daemon=True)
            feeding.start()
            for some in self._as_they_are_checked(len(left)):
                if not self._is_over():
                    look_up([one.course for one in some])
                self._under_way += [holds.submit(self._carry_out, one) for one in some]
            feeding.join()
        return self._report(len(opened), ends_s)

    def _until_alone(self, opened: Sequence[Opened], holds: ThreadPoolExecutor) -> Sequence[Opened]:
        """Take one target at a time until one is ours, and return those that are left.

        Two deliveries that begin at the same time meet at the first target that lives: one of them has it, and the other
        ends. If both took several at once, each would get some, and both would end. One that finds what another has made
        follows behind it, and ends as soon as it sees that the other goes on.
        """
        seen_at_rest = False
        for place, one in enumerate(opened):
            self._room.take()
            course = Course.begin(one.target)
            examine([course])
            begun = holds.submit(self._carry_out, _Checked(one, course))
            self._under_way.append(begun)
            while not begun.done() and not _is_ours(course):
                wait([begun], timeout=LOOK_EVERY_S)
            if not seen_at_rest and not _is_ours(course) and _was_made(course):
                seen_at_rest = self._is_at_rest(opened[place + 1 :])
            if _is_ours(course) or self._is_over():
                return opened[place + 1 :]
        return ()

    def _is_at_rest(self, ahead: Sequence[Opened]) -> bool:
        """Look at what there is of the next targets, and end when it becomes more; False when all of them are there."""
        intents = [intent for one in ahead for intent in one.target.plan.intents][:DISKS_PER_FILTER]
        try:
            more = grows(ahead[0].target.world, intents, AT_REST_S) if intents else False
        except CloudError:
            return True  # each target looks again for itself
        if more:
            self._stop.set()
        return more is not None

    def _open(self) -> Sequence[Opened]:
        now, batch = datetime.now(timezone.utc), self._batch
        request = Request(batch.policy, batch.run_id, Trigger(batch.trigger), "")
        plans = [plan_assigned(request, self._policy, t.instance_id, t.address, t.disks, now) for t in batch.targets]
        return [self._wiring.open(plan) for plan in plans]

    def _feed(self, checks: ThreadPoolExecutor, opened: Sequence[Opened]) -> None:
        """Have some more checked whenever there is room: a check's connection is used again, and is not kept for ever.

        Few at first, and more each time, because more can be looked up by one call.
        """
        start, count = 0, FIRST_CHECKS
        while start < len(opened):
            some = opened[start : start + count]
            start, count = start + count, min(2 * count, DISKS_PER_FILTER)
            for _ in some:
                self._room.take()
            for one in some:
                self._under_way.append(checks.submit(self._check, one))

    def _check(self, opened: Opened) -> None:
        course = Course.begin(opened.target)
        try:
            if not self._is_over():
                session.check(course)
        finally:
            self._checked.put(_Checked(opened, course))

    def _as_they_are_checked(self, count: int) -> Iterator[Sequence[_Checked]]:
        """Give what has been checked, as much as one look-up covers, and what came within a moment of the first."""
        while count:
            some = [self._checked.get()]
            ends_s = time.monotonic() + GATHER_S
            while len(some) < count and _disks(some) < DISKS_PER_FILTER:
                try:
                    some.append(self._checked.get(timeout=max(0.0, ends_s - time.monotonic())))
                except queue.Empty:
                    break
            count -= len(some)
            yield some

    def _carry_out(self, checked: _Checked) -> None:
        try:
            if self._is_over():
                return
            report = self._recorder.record(carry_out([checked.course])[0])
            self._reports.append(report)
            if report.status is Status.IN_PROGRESS:
                self._stop.set()
        finally:
            checked.opened.close()
            self._room.give()

    def _is_over(self) -> bool:
        """Whether nothing more may be begun: another delivery is at work, or the time left is one target's at worst."""
        return self._stop.is_set() or time.monotonic() > self._last_start_s

    def _report(self, targets: int, ends_s: float) -> Report:
        for one in self._under_way:
            if not one.cancelled():
                one.result()
        report = Report(self._batch.run_id, self._batch.policy, tuple(self._reports))
        self._recorder.upload(report)
        self._recorder.publish(report)
        if report.targets:
            self._recorder.notify(report, ends_s=ends_s)
        if self._stop.is_set() or len(self._reports) < targets:
            why = "another delivery of it is at work" if self._stop.is_set() else "the time does not do for all of it"
            self._recorder.note("batch", "unfinished", done=len(self._reports), targets=targets, reason=why)
            raise UnfinishedError(f"batch {self._batch.number} of run {self._batch.run_id} is not finished: {why}")
        self._recorder.note("batch", report.status.value, targets=targets)
        return report


def _is_ours(course: Course) -> bool:
    """Whether the hook has let us in: it refuses at once while another delivery is at work, and works on otherwise."""
    asked_s = [entry.at_s for entry in course.journal.entries if isinstance(entry.fact, facts.QuiesceAsked)]
    answered = [entry.fact for entry in course.journal.entries if isinstance(entry.fact, facts.PrepareAnswered)]
    if answered:
        return answered[0].answer.state == "prepared"
    return bool(asked_s) and time.monotonic() - asked_s[0] > SURE_S


def _was_made(course: Course) -> bool:
    """Whether another delivery has made this set."""
    return any(isinstance(fact, facts.Adopted) for fact in course.journal.facts)


def _disks(some: Sequence[_Checked]) -> int:
    return sum(len(one.course.plan.disks) for one in some)
