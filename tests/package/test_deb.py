"""The Debian package: what is in it, and that installing, upgrading and removing never drops a hold."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from scripts import package_deb

from quiesced import __version__
from tests.daemon.hook_caller import Site
from tests.package.debian_root import Root, debian_root
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="dpkg installs as root only")
MODES = {
    "etc/quiesced/quiesced.example.toml": 0o640,
    "usr/lib/systemd/system/quiesced.service": 0o644,
    "usr/sbin/quiesced": 0o755,
    "usr/share/doc/quiesced/copyright": 0o644,
    "usr/share/quiesced/install.sh": 0o755,
    "usr/share/quiesced/quiesced.pyz": 0o755,
    "usr/share/quiesced/service.sh": 0o755,
}


def waits(root: Root) -> bool:
    """Whether somebody waits for the end of a hold on this root."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return any(b"when-idle" in command and str(root.path).encode() in command for command in commands)


def shown(*argv: object) -> str:
    return subprocess.run(["dpkg-deb", *map(str, argv)], capture_output=True, text=True, check=True).stdout


def test_it_says_what_it_is_and_what_it_needs(daemon_deb: Path) -> None:
    fields = dict(re.findall(r"^ (\S+): (.*)$", shown("-I", daemon_deb), re.M))
    assert (fields["Package"], fields["Version"], fields["Architecture"]) == ("quiesced", __version__, "all")
    assert fields["Depends"] == "python3 (>= 3.9), passwd"
    assert fields["Maintainer"]


def test_every_file_has_its_place_and_mode_and_belongs_to_root(daemon_deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", daemon_deb, tmp_path], check=True)
    found = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: stat.S_IMODE(path.stat().st_mode) for name, path in found.items()} == MODES
    assert stat.S_IMODE((tmp_path / "etc/quiesced").stat().st_mode) == 0o750
    listing = shown("-c", daemon_deb).splitlines()
    assert len(listing) > len(MODES) and all(line.split()[1] == "root/root" for line in listing)


def test_the_same_tree_makes_the_same_bytes(daemon_pyz: Path, daemon_deb: Path, tmp_path: Path) -> None:
    package_deb.build(daemon_pyz, tmp_path / "again.deb")
    assert (tmp_path / "again.deb").read_bytes() == daemon_deb.read_bytes()


def test_the_sums_are_those_of_the_files(daemon_deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-R", daemon_deb, tmp_path], check=True)
    done = subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "DEBIAN/conffiles").read_text() == "/etc/quiesced/quiesced.example.toml\n"


def test_the_service_and_the_command_run_what_postinst_writes(daemon_deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", daemon_deb, tmp_path], check=True)
    unit = (tmp_path / "usr/lib/systemd/system/quiesced.service").read_text()
    assert unit.count("/usr/bin/python3 -I -S -B /usr/lib/quiesced/quiesced.pyz ") == 2
    assert "/opt/" not in unit
    assert "exec /usr/bin/python3 -I -S -B /usr/lib/quiesced/quiesced.pyz" in (tmp_path / "usr/sbin/quiesced").read_text()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return debian_root(tmp_path, systemd=True)


@pytest.fixture
def installed(root: Root, daemon_deb: Path, tmp_path: Path) -> Root:
    """A host where it is installed, configured, and running as far as the service manager knows."""
    assert root.dpkg("-i", str(daemon_deb)).returncode == 0
    listen = Site(tmp_path).listen()
    root.configure(listen.certificate, listen.private_key)
    root.running.touch()
    root.calls()
    return root


@needs_root
@pytest.mark.lab
class TestOnAHost:
    def test_a_first_installation_is_enabled_and_not_started_before_it_is_configured(
        self, root: Root, daemon_deb: Path
    ) -> None:
        done = root.dpkg("-i", str(daemon_deb))
        assert done.returncode == 0, done.stderr
        assert "install.sh --only-configure" in done.stdout
        assert root.calls() == [
            "systemctl daemon-reload",
            f"systemctl --root={root.path} --quiet enable quiesced.service",
        ]
        passwd = (root.path / "etc/passwd").read_text()
        assert re.search(r"^quiesced:x:\d+:\d+::/nonexistent:/usr/sbin/nologin$", passwd, re.M)
        group = int(re.findall(r"^quiesced:x:(\d+):", (root.path / "etc/group").read_text(), re.M)[0])
        private = [root.path / "etc/quiesced", *(root.path / "etc/quiesced").rglob("*")]
        assert {(path.stat().st_uid, path.stat().st_gid) for path in private} == {(0, group)}
        assert all(stat.S_IMODE(path.stat().st_mode) & 0o027 == 0 for path in private)

    def test_the_first_configuration_is_made_from_the_example(self, root: Root, daemon_deb: Path) -> None:
        root.dpkg("-i", str(daemon_deb))
        script = root.path / "usr/share/quiesced/install.sh"
        argv = ["sh", str(script), "--only-configure", "--root", str(root.path), "--address", "10.1.2.3"]
        subprocess.run(argv, capture_output=True, check=True)
        assert 'host = "10.1.2.3"' in root.config.read_text()
        assert len(list((root.path / "etc/quiesced/keys").iterdir())) == 1

    def test_what_runs_is_compiled_for_this_python(self, installed: Root) -> None:
        argv = ["/usr/bin/python3", "-I", "-S", "-B", str(installed.program), "--version"]
        assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == __version__
        assert b"quiesced/keeper.pyc" in installed.program.read_bytes()

    def test_an_upgrade_restarts_a_service_that_holds_nothing(self, installed: Root, daemon_deb: Path) -> None:
        done = installed.dpkg("-i", str(daemon_deb))
        assert done.returncode == 0, done.stderr
        assert installed.calls() == ["systemctl daemon-reload", "systemctl try-restart quiesced.service"]

    def test_an_upgrade_during_a_hold_waits_for_its_end_in_the_background_and_says_so(
        self, installed: Root, daemon_deb: Path
    ) -> None:
        installed.program.write_text("the program that is running")
        place = installed.place
        assert place.take()
        done = installed.dpkg("-i", str(daemon_deb))
        assert done.returncode == 0, done.stderr
        assert "the new version starts as soon as it is let go" in done.stdout
        assert not [call for call in installed.calls() if "restart" in call and not call.startswith("systemd-run")]
        assert installed.program.read_text() == "the program that is running"  # its guardian starts from this file
        place.leave()
        wait_until(lambda: "systemctl try-restart quiesced.service" in installed.calls(), 20)
        assert installed.program.read_bytes().startswith(b"#!")

    def test_an_upgrade_waits_for_the_end_of_a_short_hold(self, installed: Root, daemon_deb: Path) -> None:
        place = installed.place
        assert place.take()

        def leave_when_it_waits() -> None:
            wait_until(lambda: "systemctl daemon-reload" in installed.calls(), 60)
            wait_until(lambda: waits(installed), 20)
            place.leave()

        leaving = threading.Thread(target=leave_when_it_waits)
        leaving.start()
        done = installed.dpkg("-i", str(daemon_deb), wait_s=60)
        leaving.join()
        assert done.returncode == 0, done.stderr
        assert "restarted quiesced" in done.stdout

    def test_an_upgrade_that_cannot_use_the_configuration_leaves_the_old_version_running(
        self, installed: Root, daemon_deb: Path
    ) -> None:
        installed.program.write_text("the program that is running")
        installed.config.write_text("wat = 1")
        done = installed.dpkg("-i", str(daemon_deb))
        assert done.returncode != 0
        assert "the old version goes on" in done.stderr
        assert installed.program.read_text() == "the program that is running"
        assert "systemctl try-restart quiesced.service" not in installed.calls()

    def test_a_removal_while_something_is_held_is_refused_and_changes_nothing(self, installed: Root) -> None:
        place = installed.place
        assert place.take()
        done = installed.dpkg("-r", "quiesced")
        place.leave()
        assert done.returncode != 0
        assert "something is held, so quiesced stays" in done.stderr
        assert installed.running.exists() and installed.program.exists()

    def test_a_removal_stops_the_service_and_keeps_the_configuration(self, installed: Root) -> None:
        done = installed.dpkg("-r", "quiesced")
        assert done.returncode == 0, done.stderr
        calls = installed.calls()
        assert calls.index("systemctl stop quiesced.service") < calls.index("systemctl daemon-reload")
        assert f"systemctl --root={installed.path} --quiet disable quiesced.service" in calls
        assert installed.config.exists()
        assert not (installed.path / "usr").exists()

    def test_a_purge_leaves_nothing(self, installed: Root) -> None:
        assert installed.dpkg("-P", "quiesced").returncode == 0
        left = [path for path in installed.path.rglob("*quiesced*") if "var/lib/dpkg" not in str(path)]
        assert left == []
        accounts = [(installed.path / "etc" / name).read_text() for name in ("passwd", "group", "shadow", "gshadow")]
        assert not [text for text in accounts if "quiesced" in text]

    def test_it_does_not_go_over_what_install_sh_has_installed(self, root: Root, daemon_deb: Path) -> None:
        (root.path / "opt/quiesced").mkdir(parents=True)
        (root.path / "opt/quiesced/quiesced.pyz").touch()
        done = root.dpkg("-i", str(daemon_deb))
        assert done.returncode != 0
        assert "run install.sh --uninstall first" in done.stderr

    def test_without_a_service_manager_it_installs_all_the_same(self, tmp_path: Path, daemon_deb: Path) -> None:
        root = debian_root(tmp_path, systemd=False)
        done = root.dpkg("-i", str(daemon_deb))
        assert done.returncode == 0, done.stderr
        assert [call for call in root.calls() if "enable" not in call] == []
        assert root.program.exists()
