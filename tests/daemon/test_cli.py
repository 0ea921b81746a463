"""The command line, with a real daemon in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon.hook_caller import KEY_ID, SECRET, Site, ask, connected
from tests.waiting import wait_until

HOOKS = Path(__file__).parents[2] / "hooks"
QUIESCED = [sys.executable, "-B", "-m", "quiesced"]


@dataclass
class Host:
    """A configured host: one SQLite application, no disk with a known id."""

    directory: Path
    site: Site
    config: Path
    port: int

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*QUIESCED, arguments[0], "--config", str(self.config), *arguments[1:]],
            env={**os.environ, "PYTHONPATH": str(HOOKS)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[str]]:
        """Serve until the block ends."""
        log = self.directory / "log"
        argv = [*QUIESCED, "serve", "--config", str(self.config)]
        with log.open("w") as stream:
            process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(HOOKS)}, stderr=stream, text=True)
        try:
            wait_until(lambda: "serving" in log.read_text() or process.poll() is not None, 20)
            yield process
        finally:
            process.terminate()
            process.wait(20)

    def log_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.directory / "log").read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    site = Site(tmp_path)
    listen = site.listen()
    key, database, port = tmp_path / "hook.key", tmp_path / "orders.db", free_port()
    key.touch(mode=0o600)
    key.write_text(SECRET.decode())
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE orders (item TEXT)")
    config = tmp_path / "quiesced.toml"
    config.write_text(
        f"""
disk_by_id_dir = "{tmp_path}/by-id"
state_dir = "{tmp_path}/run"
[listen]
host = "127.0.0.1"
port = {port}
certificate = "{listen.certificate}"
private_key = "{listen.private_key}"
[keys]
{KEY_ID} = "{key}"
[limits]
acquire_limit_s = 3
hold_limit_s = 20
[[application]]
name = "orders"
engine = "sqlite"
path = "{database}"
"""
    )
    return Host(tmp_path, site, config, port)


def test_check_lists_what_is_written_and_refuses_an_unknown_disk(host: Host) -> None:
    done = host.run("check", "--disk", "disk-3i2gnf0k")
    assert done.returncode == 1
    assert "orders" in done.stdout and str(host.directory / "orders.db") in done.stdout
    assert "unknown_disk" in done.stdout


def test_status_and_release_ask_the_running_daemon(host: Host) -> None:
    with host.daemon():
        status = host.run("status")
        release = host.run("release", "no-such-lease")
    assert (status.returncode, status.stdout.split()) == (0, ["state", "idle"])
    assert release.returncode == 0
    assert release.stdout.startswith("never_held: ")


def test_without_a_daemon_status_says_that_nobody_answers(host: Host) -> None:
    done = host.run("status")
    assert done.returncode == 1
    assert f"no daemon answers at 127.0.0.1:{host.port}" in done.stderr


def test_status_believes_no_daemon_with_another_certificate(host: Host) -> None:
    with host.daemon():
        other = host.site.authority.issue_cert("127.0.0.1")
        (host.directory / "server.pem").write_bytes(other.cert_chain_pems[0].bytes())
        other.private_key_pem.write_to_path(str(host.directory / "server.key"))
        done = host.run("status")
    assert done.returncode == 1
    assert "does not have the configured certificate" in done.stderr


@pytest.mark.parametrize("command", ["serve", "check", "status", "heal"])
def test_a_wrong_configuration_is_refused_with_every_problem(host: Host, command: str) -> None:
    host.config.write_text(host.config.read_text().replace("hold_limit_s = 20", "hold_limit_s = 0\nwat = 1"))
    done = host.run(command)
    assert done.returncode == 2
    assert "limits.hold_limit_s: must be seconds" in done.stderr
    assert "limits.wat: is not a known key" in done.stderr


def test_a_second_daemon_does_not_start_and_healing_waits_for_the_first_to_end(host: Host) -> None:
    with host.daemon():
        for command in ("serve", "heal"):
            done = host.run(command)
            assert done.returncode == 1
            assert "another quiesced is running" in done.stderr
    assert host.run("heal").returncode == 0


def test_an_address_that_is_taken_is_said_so(host: Host) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", host.port))
        taken.listen()
        done = host.run("serve")
    assert done.returncode == 1
    assert "in use" in done.stderr or "No socket could be created" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_in_order(host: Host, number: signal.Signals) -> None:
    with host.daemon() as process:
        process.send_signal(number)
        assert process.wait(15) == 0
    messages = [line["message"] for line in host.log_lines()]
    assert messages[0] == "serving" and messages[-1] == "stopped"


def test_the_log_names_every_request_and_no_secret(host: Host) -> None:
    with host.daemon(), connected(host.port, host.site.context()) as connection:
        ask(connection, "GET", "/v1/status")
        ask(connection, "GET", "/v1/status", signed=False)
    requests = [line for line in host.log_lines() if line["message"] == "request"]
    assert [(line["path"], line["status"], line["code"]) for line in requests] == [
        ("/v1/status", 200, ""),
        ("/v1/status", 401, "unknown_key"),
    ]
    assert SECRET.decode() not in (host.directory / "log").read_text()


def test_wrong_usage_is_status_2(host: Host) -> None:
    assert host.run("release").returncode == 2
    assert host.run("freeze").returncode == 2
