"""The accounts and what they own: a test sets the stage here, and impossible stages are refused."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping

from quiesce_lab.cloud.admin_model import AutomationAgent
from quiesce_lab.cloud.model import CREATING, DATA_DISK, SYSTEM_DISK, Account, Disk, Estate, Instance, Topic
from quiesce_lab.cloud.times import Clock
from quiesce_lab.errors import LabError
from quiesce_lab.ports import Invokable, Shell

DEFAULT_REGION = "ap-guangzhou"
MAIN_UIN = "100000000001"
REGIONS = frozenset(
    [
        "ap-guangzhou",
        "ap-shanghai",
        "ap-nanjing",
        "ap-beijing",
        "ap-chengdu",
        "ap-chongqing",
        "ap-hongkong",
        "ap-singapore",
        "ap-bangkok",
        "ap-jakarta",
        "ap-tokyo",
        "ap-seoul",
        "eu-frankfurt",
        "na-ashburn",
        "na-siliconvalley",
        "sa-saopaulo",
    ]
)
_DISK_STATES = frozenset(["EXPANDING", "ROLLBACKING", "TORECYCLE", "DUMPING", "DETACHING"])
_INSTANCE_STATES = frozenset(
    ["PENDING", "RUNNING", "STOPPED", "STARTING", "STOPPING", "REBOOTING", "SHUTDOWN", "TERMINATING"]
)


class World:
    """State of the lab's cloud. Hold ``lock`` to read or change several things as one."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._accounts: dict[str, Account] = {}
        self._estates: dict[tuple[str, str], Estate] = {}

    def add_account(self, secret_id: str, secret_key: str, token: str | None = None, *, uin: str = MAIN_UIN) -> None:
        """Add an access key; keys with one ``uin`` share what the account owns and its rate limits."""
        with self.lock:
            self._accounts[secret_id] = Account(secret_id, secret_key, token, uin)

    def account(self, secret_id: str) -> Account | None:
        """Find the account behind a key."""
        with self.lock:
            return self._accounts.get(secret_id)

    def estate(self, uin: str = MAIN_UIN, region: str = DEFAULT_REGION) -> Estate:
        """Return what an account owns in a region. Raises LabError for a region that does not exist."""
        if region not in REGIONS:
            raise LabError(f"no such region: {region}")
        with self.lock:
            return self._estates.setdefault((uin, region), Estate(uin, region))

    def creating(self) -> list[str]:
        """Disks, of every account, that are being snapshotted now."""
        now_s = self.clock.time()
        with self.lock:
            estates = list(self._estates.values())
            called = [disk.disk_id for estate in estates for disk in estate.disks.values() if disk.snapshot_underway]
            made = [s.disk_id for estate in estates for s in estate.snapshots.values() if s.state(now_s) == CREATING]
        return called + made

    def add_instance(
        self,
        instance_id: str,
        private_ip: str,
        tags: Mapping[str, str] | None = None,
        state: str = "RUNNING",
        *,
        name: str = "Unnamed",
        region: str = DEFAULT_REGION,
        uin: str = MAIN_UIN,
    ) -> None:
        """Add a CVM instance in the region's first zone. Raises LabError when the id is taken."""
        _refuse(state not in _INSTANCE_STATES, f"an instance cannot be {state}")
        with self.lock:
            estate = self.estate(uin, region)
            _refuse(instance_id in estate.instances, f"there is an instance {instance_id} already")
            estate.instances[instance_id] = Instance(
                instance_id=instance_id,
                private_ip=private_ip,
                name=name,
                state=state,
                zone=f"{region}-1",
                uuid=str(uuid.uuid4()),
                created_s=self.clock.time(),
                tags=dict(tags or {}),
            )

    def remove_disk(self, disk_id: str) -> None:
        """Forget a disk that its owner has unmounted, detached and deleted; no API call of the lab's does that."""
        with self.lock:
            for estate in self._estates.values():
                estate.disks.pop(disk_id, None)

    def add_disk(
        self,
        disk_id: str,
        size_gib: int,
        instance_id: str | None = None,
        usage: str = DATA_DISK,
        snapshot_ability: bool = True,
        *,
        shareable: bool = False,
        encrypt: bool = False,
        disk_type: str = "CLOUD_HSSD",
        tags: Mapping[str, str] | None = None,
        state: str | None = None,
        region: str = DEFAULT_REGION,
        uin: str = MAIN_UIN,
    ) -> None:
        """Add a CBS disk whose block device the caller has made and attached. Raises LabError when it cannot be.

        ``state`` pins a DiskState that attachment alone does not bring about, such as ROLLBACKING.
        """
        with self.lock:
            estate = self.estate(uin, region)
            _check_disk(estate, disk_id, size_gib, instance_id, usage)
            _refuse(state is not None and state not in _DISK_STATES, f"a disk cannot be set to {state}")
            estate.disks[disk_id] = Disk(
                disk_id=disk_id,
                size_gib=size_gib,
                usage=usage,
                zone=f"{region}-1",
                created_s=self.clock.time(),
                disk_type=disk_type,
                instance_id=instance_id,
                snapshot_ability=snapshot_ability,
                shareable=shareable,
                encrypt=encrypt,
                stage_state=state,
                tags=dict(tags or {}),
            )

    def add_function(self, name: str, function: Invokable, *, region: str = DEFAULT_REGION, uin: str = MAIN_UIN) -> None:
        """Add an SCF function in the namespace ``default``. Raises LabError when the name is taken."""
        with self.lock:
            functions = self.estate(uin, region).functions
            _refuse(name in functions, f"there is a function {name} already")
            functions[name] = function

    def add_automation_agent(
        self, instance_id: str, shell: Shell, *, online: bool = True, environment: str = "Linux"
    ) -> AutomationAgent:
        """Let TAT's agent run on an instance of the main account. Raises LabError when there is no such instance."""
        with self.lock:
            estate = self.estate()
            _refuse(instance_id not in estate.instances, f"no instance {instance_id}")
            agent = AutomationAgent(instance_id, shell, online, environment, self.clock.time())
            estate.agents[instance_id] = agent
            return agent

    def add_event_bus(self, bus_id: str, *, region: str = DEFAULT_REGION, uin: str = MAIN_UIN) -> None:
        """Add a custom event bus of EventBridge."""
        with self.lock:
            self.estate(uin, region).event_buses[bus_id] = []

    def add_topic(self, topic_id: str, name: str = "topic", *, region: str = DEFAULT_REGION, uin: str = MAIN_UIN) -> None:
        """Add a CLS log topic with full-text and key-value index."""
        with self.lock:
            self.estate(uin, region).topics[topic_id] = Topic(topic_id, name)


def _refuse(impossible: bool, why: str) -> None:
    if impossible:
        raise LabError(f"the stage is impossible: {why}")


def _check_disk(estate: Estate, disk_id: str, size_gib: int, instance_id: str | None, usage: str) -> None:
    _refuse(disk_id in estate.disks, f"there is a disk {disk_id} already")
    _refuse(size_gib < 1, f"a disk of {size_gib} GiB")
    _refuse(usage not in (SYSTEM_DISK, DATA_DISK), f"a disk usage {usage}")
    _refuse(instance_id is not None and instance_id not in estate.instances, f"no instance {instance_id}")
    if usage == SYSTEM_DISK:
        _refuse(instance_id is None, "a system disk without an instance")
        others = estate.disks_of(instance_id or "")
        _refuse(any(disk.usage == SYSTEM_DISK for disk in others), f"two system disks on {instance_id}")
