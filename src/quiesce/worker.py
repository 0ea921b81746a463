"""One batch of a run that was dispatched: its targets one after the other, as fast as its share of the rate limit allows.

Checks and look-ups are made for ten disks at a time, while those before are still being held: a look-up for each target by
itself would take as many calls of an API as the whole account has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone

from quiesce.adapters.cbs import DISKS_PER_FILTER
from quiesce.adapters.logs import JsonLog
from quiesce.budget import needed_s
from quiesce.course import Course
from quiesce.errors import UnfinishedError
from quiesce.examine import examine
from quiesce.fleet import Batch
from quiesce.model import TargetPlan
from quiesce.plan import plan_assigned
from quiesce.policies import Policy
from quiesce.procedure import carry_out
from quiesce.recording import Recorder
from quiesce.report import Report, Status, TargetReport
from quiesce.request import Request, Trigger
from quiesce.settings import Settings
from quiesce.wiring import Opened, Wiring

AT_ONCE_PER_SHARE = 3
"""Targets under way for each call that may be sent in a second: one is held, one is prepared, one is written down."""


class Worker:
    """One delivery of one batch."""

    def __init__(self, batch: Batch, policy: Policy, settings: Settings, log: JsonLog) -> None:
        self._batch = batch
        self._policy = policy
        self._settings = settings
        self._wiring = Wiring(settings, log, calls_per_window=batch.share)
        ids = {"run_id": batch.run_id, "policy": batch.policy, "trigger": batch.trigger, "batch": batch.number}
        self._recorder = Recorder(self._wiring, ids)
        self._at_once = AT_ONCE_PER_SHARE * batch.share
        self._room = threading.Semaphore(DISKS_PER_FILTER + self._at_once)
        """One for each target that is examined, and not yet done."""
        self._under_way: list[Future[None]] = []
        self._reports: list[TargetReport] = []
        self._stop = threading.Event()

    def execute(self, *, ends_s: float) -> Report:
        """Protect every target of the batch; ``ends_s``: when SCF ends this process, on the monotonic clock.

        Raises UnfinishedError when another delivery of the batch is at work, or the time does not do for all: SCF delivers
        again a minute later, and then what there is by then is found and what is missing is made.
        """
        plans = self._plans()
        last_start_s = ends_s - needed_s(self._policy, self._settings)
        self._recorder.note("batch", "begun", targets=len(plans))
        with ThreadPoolExecutor(max_workers=self._at_once) as pool:
            for wave in _waves(plans):
                for _ in wave:
                    self._room.acquire()
                if self._stop.is_set() or time.monotonic() > last_start_s:
                    break
                self._begin(wave, pool)
        return self._report(len(plans))

    def _plans(self) -> Sequence[TargetPlan]:
        now, batch = datetime.now(timezone.utc), self._batch
        request = Request(batch.policy, batch.run_id, Trigger(batch.trigger), "")
        return [plan_assigned(request, self._policy, t.instance_id, t.address, t.disks, now) for t in batch.targets]

    def _begin(self, wave: Sequence[TargetPlan], pool: ThreadPoolExecutor) -> None:
        """Examine a wave, and have each of its targets carried out."""
        opened = [self._wiring.open(plan) for plan in wave]
        courses = [Course.begin(one.target) for one in opened]
        examine(courses)
        for one, course in zip(opened, courses, strict=True):
            self._under_way.append(pool.submit(self._carry_out, one, course))

    def _carry_out(self, opened: Opened, course: Course) -> None:
        try:
            if self._stop.is_set():
                return
            report = self._recorder.record(carry_out([course])[0])
            self._reports.append(report)
            if report.status is Status.IN_PROGRESS:
                self._stop.set()
        finally:
            opened.close()
            self._room.release()

    def _report(self, targets: int) -> Report:
        for one in self._under_way:
            one.result()
        report = Report(self._batch.run_id, self._batch.policy, tuple(self._reports))
        self._recorder.upload(report)
        if self._stop.is_set() or len(self._reports) < targets:
            why = "another delivery of it is at work" if self._stop.is_set() else "the time does not do for all of it"
            self._recorder.note("batch", "unfinished", done=len(self._reports), targets=targets, reason=why)
            raise UnfinishedError(f"batch {self._batch.number} of run {self._batch.run_id} is not finished: {why}")
        self._recorder.note("batch", report.status.value, targets=targets)
        return report


def _waves(plans: Sequence[TargetPlan]) -> Iterator[Sequence[TargetPlan]]:
    """Take as many targets at a time as one look-up covers, and at least one."""
    wave: list[TargetPlan] = []
    for plan in plans:
        if wave and sum(len(other.disks) for other in wave) + len(plan.disks) > DISKS_PER_FILTER:
            yield wave
            wave = []
        wave.append(plan)
    if wave:
        yield wave
