"""Code compiled at installation: the same program, in less memory; on another Python it runs from its source."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quiesced.auth import sign
from tests.daemon.hook_caller import KEY_ID, SECRET, connected
from tests.daemon.test_cli import Host, host
from tests.package.interpreters import python_or_skip, run_bare
from tests.waiting import wait_until

__all__ = ["host"]  # the fixture
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]
MOST_KIB = 40 * 1024
ALONE = ("-I", "-S", "-B")
"""As hooks/quiesced.service starts Python."""
ENGINES = {
    "mysql": 'socket = "/run/nowhere.sock"\nuser = "quiesced"',
    "postgres": 'socket_dir = "/run/nowhere"\nuser = "quiesced"',
    "redis": 'socket = "/run/nowhere.sock"',
    "sqlite": 'path = "/nowhere/orders.db"',
}


def precompiled(pyz: Path, version: str, target: Path) -> Path:
    done = run_bare(python_or_skip(version), *ALONE, str(pyz), "precompile", str(target))
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("version", PYTHONS)
def test_every_module_is_there_twice_and_the_compiled_one_is_run(daemon_pyz: Path, version: str, tmp_path: Path) -> None:
    made = precompiled(daemon_pyz, version, tmp_path / "quiesced.pyz")
    with zipfile.ZipFile(daemon_pyz) as before, zipfile.ZipFile(made) as after:
        names = set(before.namelist())
        assert set(after.namelist()) == names | {f"{name}c" for name in names if name.endswith(".py")}
        assert all(after.read(name) == before.read(name) for name in names)
    code = f"import sys; sys.path.insert(0, {str(made)!r}); import quiesced.keeper; print(repr(quiesced.keeper.__doc__))"
    done = run_bare(python_or_skip(version), *ALONE, "-c", code)
    assert done.stdout.strip() == "''", done.stderr  # the source has one
    assert os.access(made, os.X_OK)


@pytest.mark.parametrize(("made_by", "run_by"), [("3.9", "3.13"), ("3.13", "3.9")])
def test_another_python_runs_it_from_its_source(daemon_pyz: Path, made_by: str, run_by: str, tmp_path: Path) -> None:
    made = precompiled(daemon_pyz, made_by, tmp_path / "quiesced.pyz")
    done = run_bare(python_or_skip(run_by), *ALONE, str(made), "--version")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_no_archive_is_not_compiled(host: Host) -> None:
    done = host.run("precompile", str(host.directory / "made.pyz"))
    assert done.returncode == 1
    assert "is no zipapp" in done.stderr


@contextmanager
def serving(python: str, archive: Path, host: Host) -> Iterator[int]:
    """Run the daemon as the service does; gives its process id."""
    log = host.directory / "log"
    argv = [python, *ALONE, str(archive), "serve", "--config", str(host.config)]
    with log.open("w") as stream:
        process = subprocess.Popen(argv, stderr=stream)
    try:
        wait_until(lambda: "serving" in log.read_text() or process.poll() is not None, 20)
        assert process.poll() is None, log.read_text()
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


@pytest.fixture(scope="module", params=["3.9", "3.11", "3.13"])
def installed(
    daemon_pyz: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A Python, and the program compiled for it."""
    target = tmp_path_factory.mktemp("installed") / "quiesced.pyz"
    return python_or_skip(request.param), precompiled(daemon_pyz, request.param, target)


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_the_daemon_takes_at_most_40_mb(installed: tuple[str, Path], engine: str, host: Host) -> None:
    first, _, _ = host.config.read_text().partition("[[application]]")
    host.config.write_text(f'{first}[[application]]\nname = "orders"\nengine = "{engine}"\n{ENGINES[engine]}\n')
    with serving(*installed, host) as pid, connected(host.port, host.site.context()) as connection:
        for path in ("/v1/status", "/metrics"):  # what requests take, stays
            connection.request("GET", path, headers=sign(KEY_ID, SECRET, "GET", path, b"").headers())
            assert connection.getresponse().read()
        assert resident_kib(pid) <= MOST_KIB
