"""What `make` does on a machine that lacks something: say so, then install it or go on without."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TOOLS = ["sh", "cat", "sed", "sort", "tail", "env", "dirname", "grep", "true", "mkdir"]
LAB_COMMANDS = [
    *("mariadbd", "mariadb-install-db", "my_print_defaults"),
    *("postgres", "pg_amcheck"),
    *("redis-check-rdb", "mkfs.xfs", "mkfs.ext4", "mkfs.btrfs", "losetup", "openssl", "chromium"),
]


class Machine:
    """A PATH of its own with little programs on it. What they were called with is in ``calls``."""

    def __init__(self, folder: Path, *, uid: int = 0) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "calls"
        self.cluster_conf = folder / "etc" / "createcluster.conf"
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.program("id", f"echo {uid}")

    def program(self, name: str, script: str = "true") -> None:
        path = self.bin / name
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def apt(self, *, installs: list[str], versioned: str = "") -> None:
        """Debian's tools; installing puts these commands on the machine."""
        made = " ".join(f"{self.bin}/{name}" for name in installs)
        put = f'for path in {made}; do echo "#!/bin/sh" >$path; chmod 755 $path; done' if made else "true"
        self.program("chmod", 'exec /bin/chmod "$@"')
        self.program("apt-get", f'echo "apt-get $*" >>{self.log}\ncase $1 in install) {put} ;; esac')
        self.program("apt-cache", f"case $1 in show) {'false' if versioned else 'true'} ;; search) {versioned} ;; esac")

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "SYSTEM_PATH": "", "HOME": str(self.bin.parent), **variables}
        environment = {"POSTGRES_HOME": str(self.bin), "CLUSTER_CONF": str(self.cluster_conf), **environment}
        command = ["/bin/sh", str(SCRIPTS / script), *arguments]
        return subprocess.run(
            command, check=False, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30
        )

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Machine:
    return Machine(tmp_path, uid=1000)


def test_a_bare_machine_lacks_every_package_of_the_lab(machine: Machine) -> None:
    assert machine.run("system-packages", "missing").stdout.split() == [
        "btrfs-progs",
        "chromium",
        "e2fsprogs",
        "mariadb-client-core",
        "mariadb-server-core",
        "mount",
        "openssl",
        "postgresql",
        "postgresql-client",
        "redis-tools",
        "xfsprogs",
    ]


def test_a_machine_that_has_the_commands_lacks_nothing_and_is_left_alone(machine: Machine) -> None:
    machine.apt(installs=[])
    for command in LAB_COMMANDS:
        machine.program(command)
    done = machine.run("system-packages", "lab")
    assert (done.returncode, done.stdout, machine.calls) == (0, "", [])


def test_commands_outside_the_path_of_an_ordinary_user_count_as_there(machine: Machine, tmp_path: Path) -> None:
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    (sbin / "mkfs.xfs").symlink_to(machine.bin / "id")
    assert "xfsprogs" not in machine.run("system-packages", "missing", SYSTEM_PATH=str(sbin)).stdout.split()


def test_what_is_missing_is_named_before_it_is_installed(machine: Machine) -> None:
    for command in LAB_COMMANDS[3:]:
        machine.program(command)
    machine.apt(installs=LAB_COMMANDS[:3])
    done = machine.run("system-packages", "lab")
    assert done.returncode == 0
    assert "mariadb-server-core" in done.stdout
    assert "Going on without" not in done.stdout
    assert machine.calls[-1].endswith("--no-install-recommends --no-remove mariadb-client-core mariadb-server-core")


def test_a_server_that_is_installed_for_its_programs_makes_no_cluster_and_starts_nothing(machine: Machine) -> None:
    machine.apt(installs=["postgres"])
    machine.run("system-packages", "install", "postgresql")
    assert machine.cluster_conf.read_text() == "create_main_cluster=false\n"
    machine.cluster_conf.write_text("the administrator's own\n")
    machine.run("system-packages", "install", "postgresql")
    assert machine.cluster_conf.read_text() == "the administrator's own\n"


def test_programs_of_a_version_in_its_own_folder_count_as_there(machine: Machine, tmp_path: Path) -> None:
    place = tmp_path / "lib" / "15" / "bin"
    place.mkdir(parents=True)
    (place / "postgres").symlink_to(machine.bin / "id")
    assert "postgresql" not in machine.run("system-packages", "missing", POSTGRES_HOME=str(tmp_path / "lib")).stdout.split()


def test_on_an_older_release_the_package_with_the_version_in_its_name_is_taken(machine: Machine) -> None:
    machine.apt(installs=[], versioned='n=${3#^}; n=${n%%-\\[*}; echo "$n-10.5 - old"; echo "$n-10.6 - database"')
    machine.run("system-packages", "install", "mariadb-server-core", "xfsprogs")
    assert machine.calls[-1].endswith(" mariadb-server-core-10.6 xfsprogs")


def test_without_root_and_sudo_nothing_is_installed_and_it_says_what_will_not_run(unprivileged: Machine) -> None:
    unprivileged.apt(installs=LAB_COMMANDS)
    done = unprivileged.run("system-packages", "lab")
    assert done.returncode == 0
    assert "Going on without: btrfs-progs chromium e2fsprogs mariadb-client-core" in done.stdout
    assert "will not run" in done.stdout
    assert unprivileged.calls == []


def test_sudo_that_would_ask_for_a_password_nobody_can_type_is_not_used(unprivileged: Machine) -> None:
    unprivileged.apt(installs=LAB_COMMANDS)
    unprivileged.program("sudo", f'[ "$1" = -n ] || echo asked >>{unprivileged.log}\nexit 1')
    assert unprivileged.run("system-packages", "lab").returncode == 0
    assert unprivileged.calls == []


def test_sudo_is_used_when_it_asks_for_nothing(unprivileged: Machine) -> None:
    unprivileged.apt(installs=LAB_COMMANDS)
    unprivileged.program("sudo", '[ "$1" != -n ] || shift\nexec "$@"')
    done = unprivileged.run("system-packages", "lab")
    assert "Going on without" not in done.stdout
    assert len(unprivileged.calls) == 2


def test_a_machine_without_apt_goes_on_without_the_lab(machine: Machine) -> None:
    done = machine.run("system-packages", "lab")
    assert done.returncode == 0
    assert "apt-get is not here" in done.stderr


def python(version: str, path: str) -> str:
    """A program that answers as an interpreter of this version would to the question of find-python."""
    return f"""#!{sys.executable}
import sys
question = sys.argv[3].removeprefix("import sys; ")
sys.version_info, sys.executable = ({version.replace(".", ", ")}), {path!r}
exec(question)
"""


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        pytest.param({"python3": "3.12", "python3.10": "3.10"}, "python3.10", id="3.10 first: it is what SCF has"),
        pytest.param({"python3": "3.12", "python3.11": "3.11"}, "python3", id="then the machine's own"),
        pytest.param({"python3": "3.9", "python3.11": "3.11"}, "python3.11", id="a newer one when its own is too old"),
        pytest.param({"python3": "3.9"}, "", id="none is new enough"),
        pytest.param({}, "", id="none at all"),
    ],
)
def test_the_best_interpreter_is_chosen(machine: Machine, installed: dict[str, str], chosen: str) -> None:
    for name, version in installed.items():
        machine.program(name, python(version, name))
    found = machine.run("find-python", "at-least", "3.10")
    assert found.stdout.strip() == chosen
    assert (found.returncode == 0) == bool(chosen)


def test_an_interpreter_of_pyenv_is_found_off_the_path(machine: Machine, tmp_path: Path) -> None:
    managed = tmp_path / ".pyenv/versions/3.9.18/bin"
    managed.mkdir(parents=True)
    machine.program("python", python("3.9", "managed"))
    (machine.bin / "python").rename(managed / "python")
    assert machine.run("find-python", "exactly", "3.9").stdout.strip() == "managed"
    assert machine.run("find-python", "exactly", "3.10").returncode == 1


def test_a_shim_that_cannot_run_is_passed_over(machine: Machine) -> None:
    machine.program("python3.10", "echo 'command not found' >&2; exit 127")
    machine.program("python3", python("3.11", "python3"))
    assert machine.run("find-python", "at-least", "3.10").stdout.strip() == "python3"


def test_an_interpreter_that_was_named_and_is_too_old_is_not_replaced_in_silence(machine: Machine) -> None:
    machine.program("mine", python("3.9", "mine"))
    machine.program("python3", python("3.12", "python3"))
    found = machine.run("find-python", "at-least", "3.10", PYTHON="mine")
    assert found.returncode == 1
    assert "PYTHON=mine is not a Python 3.10 or newer" in found.stderr


def test_a_command_runs_unprivileged_when_root_cannot_be_had(unprivileged: Machine) -> None:
    done = unprivileged.run("as-root", "sh", "-c", "echo done; exit 3")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "done")
    assert "unprivileged" in done.stdout
