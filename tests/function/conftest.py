"""Fixtures of the function's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
import trustme

from tests.function.loopback import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    pem: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    return Authority(ca, pem)


@pytest.fixture
def impatient() -> Iterator[None]:
    """Take the waiting, not the attempts, out of retries."""
    with stamina.set_testing(True, attempts=5, cap=True):
        yield
