"""Everything outside that one invocation works with, made from its settings. Nothing of it outlives the invocation."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from quiesce.adapters.cbs import CbsSnapshots
from quiesce.adapters.hook_client import HookClient
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.rate_limit import CREATES_PER_WINDOW, Paces, RateLimit
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import Pool, Shared
from quiesce.certificate import recorded_level
from quiesce.course import Target
from quiesce.model import TargetPlan
from quiesce.ports import World
from quiesce.settings import Settings


class Opened(msgspec.Struct, frozen=True):
    """One target, with what has to be closed after it."""

    target: Target
    agent: HookClient
    snapshots: CbsSnapshots

    def close(self) -> None:
        """Close its connections, and give back the permits that were not used."""
        self.agent.close()
        self.snapshots.close()


class Region(msgspec.Struct, frozen=True):
    """Another region: its disks' API, and its tags'."""

    cbs: Pool
    tag: Pool


class Wiring:
    """The cloud, the log, and what the targets of a run share."""

    def __init__(self, settings: Settings, log: JsonLog, *, calls_per_window: int = CREATES_PER_WINDOW) -> None:
        """``calls_per_window``: this worker's allowance of the rate limit, of each API."""
        self.settings = settings
        self.log = log
        self.cloud = Cloud(settings.cloud, Paces(time, calls_per_window).wait)
        self._rate_limit = RateLimit(time, calls_per_window)
        a_share = calls_per_window < CREATES_PER_WINDOW
        self.shared = Shared(self.cloud, time, settings.snapshot_quota, frugal=a_share)
        self._calls_per_window = calls_per_window
        self._regions: dict[str, Region] = {}

    def region(self, name: str) -> Region:
        """Make what another region's snapshots are asked by; its rate limit is its own."""
        if name not in self._regions:
            elsewhere = msgspec.structs.replace(self.settings.cloud, region=name)
            cloud = Cloud(elsewhere, Paces(time, self._calls_per_window).wait)
            self._regions[name] = Region(Pool(cloud, "cbs", "2017-03-12", time), Pool(cloud, "tag", "2018-08-13", time))
        return self._regions[name]

    @contextmanager
    def targets(self, plans: Sequence[TargetPlan]) -> Iterator[list[Target]]:
        """Open what each target needs, for as long as the block lasts."""
        with ExitStack() as closing:
            opened = [self.open(plan) for plan in plans]
            for one in opened:
                closing.callback(one.close)
            yield [one.target for one in opened]

    def open(self, plan: TargetPlan) -> Opened:
        """Make what one target needs; its connections are opened when they are used."""
        agent = HookClient(plan.address, self.settings.hook, plan.limits)
        snapshots = self.snapshots()
        return Opened(Target(plan, self._world(agent, snapshots)), agent, snapshots)

    def snapshots(self) -> CbsSnapshots:
        """Open the region's snapshots, with what the run shares."""
        return CbsSnapshots(self.cloud, self._rate_limit, self.shared)

    def _world(self, agent: HookClient, snapshots: CbsSnapshots) -> World:
        return World(
            agent=agent,
            snapshots=snapshots,
            clock=time,
            new_lease_id=lambda: uuid.uuid4().hex,
            recorded_level=functools.partial(recorded_level, key=self.settings.certificate_key),
            api_timeout_s=self.settings.cloud.timeout_s,
        )
