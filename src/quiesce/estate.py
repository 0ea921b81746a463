"""How the disks of a region stand against the policies that cover them, looked at in the cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from quiesce import coverage
from quiesce.adapters.cvm import find_instances
from quiesce.adapters.disks import every_disk, find_disks
from quiesce.adapters.estate import Made
from quiesce.adapters.tencent import Cloud
from quiesce.coverage import Row
from quiesce.plan import chosen_disks
from quiesce.policies import Policy


def look(cloud: Cloud, policies: Mapping[str, Policy], made: Iterable[Made], now: datetime) -> tuple[Row, ...]:
    """Say of every attached disk how it stands; ``made``: every snapshot of ours. Raises CloudError."""
    disks = every_disk(cloud)
    chosen = {name: _chosen(cloud, policy) for name, policy in policies.items()}
    return coverage.cover(disks, chosen, policies, [one.point for one in made], now)


def _chosen(cloud: Cloud, policy: Policy) -> frozenset[str]:
    """Ids of the disks that a policy selects now."""
    instances = find_instances(cloud, policy.targets)
    return chosen_disks(policy, find_disks(cloud, [one.instance_id for one in instances]))
