"""The lab's site: one cloud, its disks on this machine, and the authority that every certificate comes from."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import trustme

from quiesce_lab.blocks import LoopBlocks
from quiesce_lab.cloud import Cloud
from quiesce_lab.cloud.control import Control
from quiesce_lab.cloud.world import DEFAULT_REGION
from quiesce_lab.dirblocks import DirBlocks
from quiesce_lab.machine import Machine
from quiesce_lab.pool import Pool
from quiesce_lab.ports import Disks
from quiesce_lab.rivals import Console

CONTROL = "control.sock"
"""Socket in the state directory by which ``quiesce-lab faults`` reaches a running cloud."""


class Authority:
    """A certificate authority that lives as long as the lab."""

    def __init__(self, machine: Machine) -> None:
        self._ca = trustme.CA()
        self._directory = machine.directory("authority")
        self.ca_pem = self._directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_pem))

    def issue_for(self, hosts: Sequence[str]) -> trustme.LeafCert:
        """Issue one certificate for many names or addresses."""
        return self._ca.issue_cert(*hosts)

    def issue(self, host: str) -> tuple[Path, Path]:
        """Issue a certificate for a name or address; returns the files of the chain and of the private key."""
        certificate = self._ca.issue_cert(host)
        chain, key = self._directory / f"{host}.pem", self._directory / f"{host}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key.touch(mode=0o600)
        key.write_bytes(certificate.private_key_pem.bytes())
        return chain, key


class Site:
    """A cloud that listens, with an account of its own. Use it as a context manager inside of a Machine."""

    def __init__(self, machine: Machine, *, real_disks: bool = True, blocks: Disks | None = None) -> None:
        """``real_disks`` makes disks block devices; otherwise they are directories that are copied file by file.

        ``blocks`` stands for either.
        """
        self.machine = machine
        self.authority = Authority(machine)
        self.blocks: Disks = blocks or (LoopBlocks(Pool(machine)) if real_disks else DirBlocks(machine))
        self.region = DEFAULT_REGION
        self.secret_id, self.secret_key = f"AKID{secrets.token_hex(16)}", secrets.token_hex(16)
        chain, key = self.authority.issue("127.0.0.1")
        self.cloud = Cloud(self.blocks, certificate=str(chain), private_key=str(key))
        self.cloud.world.add_account(self.secret_id, self.secret_key)
        self._control = Control(self.cloud, machine.file(CONTROL))

    def __enter__(self) -> Site:
        self.cloud.start()
        self._control.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._control.stop()
        self.cloud.stop()

    @property
    def endpoint(self) -> str:
        """Where the cloud listens, as ``host:port``."""
        return f"127.0.0.1:{self.cloud.port}"

    @property
    def console(self) -> Console:
        """An operator's access to this cloud."""
        return Console(self.endpoint, self.authority.ca_pem, self.secret_id, self.secret_key, self.region)
