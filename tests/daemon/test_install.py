"""install.sh, staged into a directory: nothing on this host is touched."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[2] / "hooks"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def install(root: Path, *arguments: str, address: str = "10.1.2.3") -> subprocess.CompletedProcess[str]:
    archive = root.parent / "quiesced.pyz"
    if not archive.exists():
        archive.write_text("the program")
    argv = ["sh", str(HOOKS / "install.sh"), "--root", str(root), "--archive", str(archive), "--address", address]
    return subprocess.run([*argv, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "staged"


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_everything_has_its_place_and_secrets_are_private(root: Path) -> None:
    done = install(root)
    assert done.returncode == 0, done.stderr
    for name in ("opt/quiesced/quiesced.pyz", "usr/local/sbin/quiesced", "etc/systemd/system/quiesced.service"):
        assert (root / name).is_file()
    private = [root / "etc/quiesced", *(root / "etc/quiesced").rglob("*")]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in private)
    config = (root / "etc/quiesced/quiesced.toml").read_text()
    (key,) = (root / "etc/quiesced/keys").iterdir()
    assert 'host = "10.1.2.3"' in config
    assert f'"{key.name}" = "/etc/quiesced/keys/{key.name}"' in config
    assert re.fullmatch(r"[0-9a-f]{64}\n", key.read_text())


def test_no_secret_is_printed(root: Path) -> None:
    done = install(root)
    (key,) = (root / "etc/quiesced/keys").iterdir()
    assert key.read_text().strip() not in done.stdout + done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr


def test_a_second_run_replaces_the_program_and_nothing_else(root: Path) -> None:
    install(root)
    (root / "etc/quiesced/quiesced.toml").write_text("# the owner's own")
    before = everything(root)
    (root.parent / "quiesced.pyz").write_text("the next program")
    assert install(root).returncode == 0
    assert everything(root) == {**before, "opt/quiesced/quiesced.pyz": b"the next program"}


def test_an_upgrade_replaces_the_program_and_touches_no_configuration(root: Path) -> None:
    install(root)
    shutil.rmtree(root / "etc/quiesced")
    before = everything(root)
    (root.parent / "quiesced.pyz").write_text("the next program")
    assert install(root, "--upgrade").returncode == 0
    assert everything(root) == {**before, "opt/quiesced/quiesced.pyz": b"the next program"}


def test_there_is_nothing_to_upgrade_before_an_installation(root: Path) -> None:
    done = install(root, "--upgrade")
    assert (done.returncode, root.exists()) == (1, False)
    assert "nothing to upgrade" in done.stderr


def test_uninstalling_keeps_the_configuration_and_purging_keeps_nothing(root: Path) -> None:
    install(root)
    configuration = {name: content for name, content in everything(root).items() if name.startswith("etc/quiesced/")}
    assert configuration
    assert install(root, "--uninstall").returncode == 0
    assert everything(root) == configuration
    install(root)
    assert install(root, "--uninstall", "--purge").returncode == 0
    assert everything(root) == {}


def test_what_was_kept_when_it_was_uninstalled_can_be_purged_later(root: Path) -> None:
    install(root)
    assert install(root, "--uninstall").returncode == 0
    assert install(root, "--uninstall", "--purge").returncode == 0
    assert everything(root) == {}


@pytest.mark.parametrize("more", [(), ("--purge",)])
def test_what_this_script_did_not_install_it_does_not_remove(root: Path, more: tuple[str, ...]) -> None:
    assert install(root, "--uninstall", *more).returncode == 1
    (root / "usr/share/quiesced").mkdir(parents=True)
    (root / "usr/share/quiesced/quiesced.pyz").touch()
    (root / "etc/quiesced").mkdir(parents=True)
    done = install(root, "--uninstall", *more)
    assert (done.returncode, (root / "etc/quiesced").is_dir()) == (1, True)
    assert "not installed by this script" in done.stderr


def test_configuring_alone_installs_no_program(root: Path) -> None:
    assert install(root, "--only-configure").returncode == 0
    assert {name.split("/")[0] for name in everything(root)} == {"etc"}
    assert (root / "etc/quiesced/quiesced.toml").is_file()


def test_it_does_not_go_over_a_package(root: Path) -> None:
    (root / "usr/share/quiesced").mkdir(parents=True)
    (root / "usr/share/quiesced/quiesced.pyz").touch()
    done = install(root)
    assert done.returncode == 1
    assert "installed as a package" in done.stderr


@pytest.mark.parametrize(
    ("address", "shown"),
    [("10.1.2.3", "IP Address:10.1.2.3"), ("fd00::5", "IP Address:FD00:0"), ("db1.example", "DNS:db1.example")],
)
def test_the_certificate_names_the_address(root: Path, address: str, shown: str) -> None:
    install(root, address=address)
    argv = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(root / "etc/quiesced/tls/certificate.pem")]
    assert shown in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--address", "a|b"), "not an IP address or host name"),
        (("--archive", "/no/such.pyz"), "no such file: /no/such.pyz"),
        (("--wat",), "unknown option --wat"),
        (("--root",), "--root needs a value"),
        (("--upgrade", "--uninstall"), "exclude each other"),
        (("--purge",), "--purge goes with --uninstall"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(root: Path, arguments: tuple[str, ...], words: str) -> None:
    done = install(root, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert not root.exists()


def unit(name: str) -> list[str]:
    """Every value of one setting of the service."""
    lines = (HOOKS / "quiesced.service").read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_the_service_is_not_root_and_has_two_capabilities() -> None:
    assert unit("User") == unit("Group") == ["quiesced"]
    assert unit("AmbientCapabilities") == unit("CapabilityBoundingSet") == ["CAP_SYS_ADMIN CAP_DAC_READ_SEARCH"]
    assert unit("NoNewPrivileges") == ["yes"]
    assert unit("LimitMEMLOCK") == ["infinity"]


def test_the_service_runs_no_shell() -> None:
    commands = [command for name in ("ExecStart", "ExecStartPre", "ExecStopPost") for command in unit(name)]
    assert len(commands) == 4
    assert not [command for command in commands if re.search(r"\b(ba)?sh\b", command)]


def test_a_staged_installation_makes_no_user_and_gives_no_file_away(root: Path) -> None:
    done = install(root)
    assert "system user" not in done.stdout + done.stderr
    assert {path.stat().st_uid for path in (root / "etc").rglob("*")} == {root.stat().st_uid}


def test_systemd_never_kills_the_guardian() -> None:
    """With KillMode=mixed it would, just when the daemon has died and only the guardian is left to let go."""
    assert (unit("KillMode"), unit("OOMPolicy")) == (["process"], ["continue"])
