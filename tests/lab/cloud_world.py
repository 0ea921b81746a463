"""A running lab cloud for tests: real TLS, the real SDK, and block devices that live in memory."""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import trustme
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from quiesce_lab.cloud import Cloud, tc3
from quiesce_lab.errors import LabError

REGION = "ap-guangzhou"
ALLOWED_EVERY_S = 0.1
"""How often a test may ask for what it waits for: the lab refuses the 21st call of an action within a second."""
SECRET_ID, SECRET_KEY, TOKEN = "AKIDlab", "key-of-the-lab", "token-of-the-lab"
VERSIONS = {
    "cbs": "2017-03-12",
    "cvm": "2017-03-12",
    "tag": "2018-08-13",
    "cls": "2020-10-16",
    "eb": "2021-04-16",
    "scf": "2018-04-16",
    "cam": "2019-01-16",
    "tat": "2020-10-28",
}


class ManualClock:
    """Real time plus what a test has let pass."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def time(self) -> float:
        return time.time() + self.passed_s

    def monotonic(self) -> float:
        return time.monotonic() + self.passed_s


@dataclass
class MemoryBlocks:
    """Block devices in memory. A disk's content is a list that a test appends to; a snapshot is a copy of it."""

    disks: dict[str, list[str]] = field(default_factory=dict)
    snapshots: dict[str, list[str]] = field(default_factory=dict)
    attached: dict[str, str] = field(default_factory=dict)
    cuts: list[tuple[str, float]] = field(default_factory=list)
    broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, disk_id: str, size_gib: int, *, from_snapshot: str | None = None) -> None:
        self._refuse(disk_id in self.disks, f"{disk_id} exists")
        self._refuse(from_snapshot is not None and from_snapshot not in self.snapshots, f"no {from_snapshot}")
        self.disks[disk_id] = list(self.snapshots[from_snapshot]) if from_snapshot else []

    def snapshot(self, disk_id: str, snapshot_id: str) -> None:
        self._refuse(disk_id not in self.disks, f"no {disk_id}")
        self._refuse(snapshot_id in self.snapshots, f"{snapshot_id} exists")
        with self.lock:
            self.cuts.append((disk_id, time.monotonic()))
            self.snapshots[snapshot_id] = list(self.disks[disk_id])

    def attach(self, disk_id: str, instance_id: str) -> None:
        self._refuse(disk_id not in self.disks, f"no {disk_id}")
        self._refuse(disk_id in self.attached, f"{disk_id} is attached")
        self.attached[disk_id] = instance_id

    def copy_snapshot(self, snapshot_id: str, copy_id: str) -> None:
        self._refuse(snapshot_id not in self.snapshots, f"no {snapshot_id}")
        self._refuse(copy_id in self.snapshots, f"{copy_id} exists")
        self.snapshots[copy_id] = list(self.snapshots[snapshot_id])

    def delete_snapshot(self, snapshot_id: str) -> None:
        self._refuse(snapshot_id not in self.snapshots, f"no {snapshot_id}")
        del self.snapshots[snapshot_id]

    def _refuse(self, impossible: bool, why: str) -> None:
        if impossible or self.broken:
            raise LabError(f"impossible: {why}")


@dataclass
class Lab:
    """A running cloud and the ways to talk to it."""

    cloud: Cloud
    blocks: MemoryBlocks
    clock: ManualClock
    ca_file: Path
    closing: contextlib.ExitStack

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.cloud.port}"

    def disk(self, disk_id: str, size_gib: int = 20, **settings: Any) -> str:
        """Add a disk to the world and to the block devices."""
        self.blocks.create(disk_id, size_gib)
        self.cloud.world.add_disk(disk_id, size_gib, **settings)
        return disk_id

    def credential(self) -> Credential:
        return Credential(SECRET_ID, SECRET_KEY, TOKEN)

    def profile(self, **settings: Any) -> ClientProfile:
        return ClientProfile(
            httpProfile=HttpProfile(
                endpoint=self.endpoint, certification=str(self.ca_file), **{"reqTimeout": 10, **settings}
            )
        )

    def client(self, service: str, *, region: str = REGION, version: str = "", **settings: Any) -> CommonClient:
        """Return the SDK's common client; it is closed with the cloud."""
        client = CommonClient(service, version or VERSIONS[service], self.credential(), region, self.profile(**settings))
        self._close_later(client)
        return client

    def typed_client(self, service: str) -> Any:
        """Return the SDK's own client class of a service, such as CbsClient."""
        version = "v" + VERSIONS[service].replace("-", "")
        module = importlib.import_module(f"tencentcloud.{service}.{version}.{service}_client")
        client = getattr(module, f"{service.capitalize()}Client")(self.credential(), REGION, self.profile())
        self._close_later(client)
        return client

    def call(self, service: str, action: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call through the SDK and return what stands in Response."""
        response: dict[str, Any] = self.client(service).call_json(action, dict(params or {}))["Response"]
        return response

    def error_of(self, service: str, action: str, params: Mapping[str, Any] | None = None) -> str:
        """Call through the SDK and return the error code, or an empty string."""
        try:
            self.call(service, action, params)
        except TencentCloudSDKException as error:
            return error.code
        return ""

    def snapshot(self, disk_id: str, **params: Any) -> str:
        """CreateSnapshot through the SDK."""
        snapshot_id: str = self.call("cbs", "CreateSnapshot", {"DiskId": disk_id, **params})["SnapshotId"]
        return snapshot_id

    def listed(self, snapshot_id: str) -> dict[str, Any] | None:
        """Describe one snapshot; None while (or once) it is not listed."""
        found = self.call("cbs", "DescribeSnapshots", {"SnapshotIds": [snapshot_id]})["SnapshotSet"]
        return found[0] if found else None

    def raw(
        self,
        body: bytes | str = b"{}",
        *,
        action: str = "DescribeDisks",
        service: str = "cbs",
        method: str = "POST",
        path: str = "/",
        secret_key: str = SECRET_KEY,
        signed_s: float | None = None,
        date: str | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Raw:
        """Send a request signed here, with whatever is wrong with it; a header of None is left out."""
        payload = body.encode() if isinstance(body, str) else body
        now_s = self.clock.time() if signed_s is None else signed_s
        scope_date = date or datetime.fromtimestamp(now_s, timezone.utc).strftime("%Y-%m-%d")
        sent: dict[str, str] = {
            "Content-Type": "application/json",
            "Host": self.endpoint,
            "X-TC-Action": action,
            "X-TC-Version": VERSIONS.get(service, "2017-03-12"),
            "X-TC-Region": REGION,
            "X-TC-Timestamp": str(int(now_s)),
            "X-TC-Token": TOKEN,
        }
        lower = {name.lower(): value for name, value in sent.items()}
        canonical = tc3.canonical_request(lower, ("content-type", "host"), payload)
        text = tc3.string_to_sign(canonical, timestamp=str(int(now_s)), date=scope_date, service=service)
        signature = tc3.sign(secret_key, date=scope_date, service=service, text=text)
        sent["Authorization"] = (
            f"TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope_date}/{service}/tc3_request, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        )
        for name, value in (headers or {}).items():
            sent.pop(name, None)
            if value is not None:
                sent[name] = value
        return self._send(method, path, payload, sent)

    def raw_ok(self, action: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request signed at the cloud's own time, however far that has been moved."""
        raw = self.raw(json.dumps(params), action=action)
        assert raw.code == "", raw.response
        return raw.response

    def _send(self, method: str, path: str, payload: bytes, headers: Mapping[str, str]) -> Raw:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        connection = http.client.HTTPSConnection("127.0.0.1", self.cloud.port, context=context, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, payload, dict(headers))
            answer = connection.getresponse()
            return Raw(answer.status, answer.headers["Content-Type"], answer.read())

    def _close_later(self, client: Any) -> None:
        self.closing.callback(client.request.conn._session.close)


@dataclass(frozen=True)
class Raw:
    """An HTTP answer as it came."""

    status: int
    content_type: str
    body: bytes

    @property
    def response(self) -> dict[str, Any]:
        response: dict[str, Any] = json.loads(self.body)["Response"]
        return response

    @property
    def code(self) -> str:
        code: str = self.response.get("Error", {}).get("Code", "")
        return code


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def _server_certificate() -> trustme.LeafCert:
    return _authority().issue_cert("127.0.0.1")


def write_certificates(directory: Path) -> tuple[Path, Path, Path]:
    """Write a CA, a certificate for 127.0.0.1 and its key, and return their files."""
    ca_file, certificate, key = directory / "ca.pem", directory / "cloud.pem", directory / "cloud.key"
    _authority().cert_pem.write_to_path(str(ca_file))
    _server_certificate().cert_chain_pems[0].write_to_path(str(certificate))
    _server_certificate().private_key_pem.write_to_path(str(key))
    return ca_file, certificate, key


@contextlib.contextmanager
def running_lab(directory: Path) -> Iterator[Lab]:
    """Run a cloud with one account, one instance ``ins-a`` and no latency."""
    ca_file, certificate, key = write_certificates(directory)
    blocks, clock = MemoryBlocks(), ManualClock()
    cloud = Cloud(blocks, certificate=str(certificate), private_key=str(key), clock=clock)
    cloud.settings.latency_s = {}
    cloud.settings.visible_after_s = 0.0
    cloud.world.add_account(SECRET_ID, SECRET_KEY, TOKEN)
    cloud.world.add_instance("ins-a", "10.0.0.4", {"backup": "yes"})
    cloud.start()
    with contextlib.ExitStack() as closing:
        closing.callback(cloud.stop)
        yield Lab(cloud, blocks, clock, ca_file, closing)
