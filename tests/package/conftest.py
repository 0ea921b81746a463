"""The two packages, built once for all their tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from scripts import package_daemon, package_deb, package_function


@pytest.fixture(scope="session")
def function_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("function-build")
    package_function.build(folder / "function", folder / "quiesce-function.zip")
    return folder / "quiesce-function.zip"


@pytest.fixture(scope="session")
def unpacked_function(function_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("var-user")
    with zipfile.ZipFile(function_zip) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def daemon_pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daemon-build")
    package_daemon.build(folder / "daemon", folder / "quiesced.pyz")
    return folder / "quiesced.pyz"


@pytest.fixture(scope="session")
def daemon_deb(daemon_pyz: Path) -> Path:
    package_deb.build(daemon_pyz, daemon_pyz.parent / "quiesced.deb")
    return daemon_pyz.parent / "quiesced.deb"
