"""The one file that the instances get runs on every Python they may have."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from tests.package.interpreters import python_or_skip, run_bare

PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]

IMPORT_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import cheroot.ssl.builtin, cheroot.wsgi, importlib, pkgutil, pymysql, quiesced, tomli
assert all(module.__file__.startswith(sys.argv[1]) for module in (cheroot, pymysql, quiesced, tomli))
for module in pkgutil.walk_packages(quiesced.__path__, "quiesced."):
    importlib.import_module(module.name)
"""


@pytest.mark.parametrize("version", PYTHONS)
def test_every_module_imports_from_the_file_alone(daemon_pyz: Path, version: str) -> None:
    done = run_bare(python_or_skip(version), "-I", "-S", "-B", "-c", IMPORT_ALL, str(daemon_pyz))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", PYTHONS)
def test_help_is_printed_and_the_exit_status_is_zero(daemon_pyz: Path, version: str) -> None:
    done = run_bare(python_or_skip(version), "-I", "-S", "-B", str(daemon_pyz), "--help")
    assert done.returncode == 0, done.stderr
    assert "quiesced" in done.stdout


@pytest.mark.parametrize("version", PYTHONS)
def test_the_file_alone_speaks_the_language_that_is_asked_for(daemon_pyz: Path, version: str) -> None:
    python = python_or_skip(version)
    for language, said in (
        ("zh_CN.UTF-8", "显示正在运行的守护进程持有什么"),
        ("pt_BR", "mostrar o que o daemon em execução retém"),
    ):
        variables = {"LANG": language, "PYTHONIOENCODING": "utf-8"}
        assert said in run_bare(python, "-S", "-B", str(daemon_pyz), "--help", variables=variables).stdout


def test_a_wrong_option_gives_an_exit_status_that_a_service_manager_sees(daemon_pyz: Path) -> None:
    done = run_bare(python_or_skip("3.10"), "-I", "-S", "-B", str(daemon_pyz), "--no-such-option")
    assert done.returncode != 0


def test_the_file_is_executable_and_names_python_3(daemon_pyz: Path) -> None:
    assert os.access(daemon_pyz, os.X_OK)
    assert daemon_pyz.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_nothing_in_the_file_is_compiled_or_a_test(daemon_pyz: Path) -> None:
    with zipfile.ZipFile(daemon_pyz) as archive:
        names = archive.namelist()
    assert [name for name in names if name.endswith((".so", ".pyc", ".pem", ".key"))] == []
    assert [name for name in names if "/test/" in name or "/tests/" in name] == []
