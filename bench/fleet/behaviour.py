"""How the simulated instances behave: most as they should, some slow, some dead, some refusing."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass


class Kind(str, enum.Enum):
    """How one instance behaves."""

    WELL = "well"
    SLOW = "slow"  # seconds to prepare, and half of one to hold
    DEAD = "dead"  # closes every connection
    SILENT = "silent"  # takes every connection, and says nothing
    REFUSING = "refusing"  # a long statement stands in the way


SHARES = ((Kind.SLOW, 0.05), (Kind.DEAD, 0.02), (Kind.SILENT, 0.01), (Kind.REFUSING, 0.02))


@dataclass(frozen=True)
class Simulated:
    """One instance by its number: ids, address, and what it is like."""

    number: int

    @property
    def instance_id(self) -> str:
        """Its id in the cloud."""
        return f"ins-fleet{self.number:05d}"

    @property
    def disk_id(self) -> str:
        """Id of its one data disk."""
        return f"disk-fl{self.number:06d}"

    @property
    def address(self) -> str:
        """Its own address on loopback."""
        return f"127.78.{self.number // 250}.{self.number % 250 + 1}"

    @property
    def kind(self) -> Kind:
        """Drawn from its number, so that every process of a bench knows it."""
        drawn = self._drawn("kind")
        for kind, share in SHARES:
            if drawn < share:
                return kind
            drawn -= share
        return Kind.WELL

    @property
    def prepare_s(self) -> float:
        """How long it takes to do everything slow: what a MariaDB under load took, or seconds."""
        return 1.0 + 3.0 * self._drawn("prepare") if self.kind is Kind.SLOW else 0.1 + 0.2 * self._drawn("prepare")

    @property
    def acquire_s(self) -> float:
        """How long it takes to hold."""
        return 0.5 if self.kind is Kind.SLOW else 0.005 + 0.015 * self._drawn("acquire")

    def _drawn(self, what: str) -> float:
        digest = hashlib.sha256(f"{what} {self.number}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32


def numbered(address: str) -> Simulated:
    """Find the instance with an address."""
    _, _, high, low = address.split(".")
    return Simulated(int(high) * 250 + int(low) - 1)
