"""A root directory into which real dpkg installs, with a service manager that only notes what it is told."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from quiesced.place import Place

_SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>"$CALLS"
case $* in
*is-active*) [ -e "$RUNNING" ] ;;
*stop*) rm -f "$RUNNING" ;;
*start*) touch "$RUNNING" ;;
esac
"""
_SYSTEMD_RUN = """#!/bin/sh
echo "systemd-run $*" >>"$CALLS"
while [ "${1#--}" != "$1" ]; do shift; done
"$@" </dev/null >/dev/null 2>&1 &
"""
_ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "shadow": "root:*:19000:0:99999:7:::\n",
    "gshadow": "root:*::\n",
}


@dataclass
class Root:
    """The directory, and beside it the stubs and their notes."""

    path: Path
    stubs: Path
    read: int = 0
    """How many notes were read."""

    @property
    def config(self) -> Path:
        return self.path / "etc/quiesced/quiesced.toml"

    @property
    def program(self) -> Path:
        """What the service runs."""
        return self.path / "usr/lib/quiesced/quiesced.pyz"

    @property
    def running(self) -> Path:
        """There while the service runs."""
        return self.stubs / "running"

    @property
    def place(self) -> Place:
        """The place of the configured service."""
        return Place(self.path / "run/quiesced")

    def calls(self) -> list[str]:
        """Return what the service manager was told since the last call, but for questions."""
        notes = self.stubs / "calls"
        told = notes.read_text().splitlines() if notes.exists() else []
        new, self.read = told[self.read :], len(told)
        return [call for call in new if "is-active" not in call]

    def dpkg(self, *arguments: str, wait_s: float = 0.2) -> subprocess.CompletedProcess[str]:
        """Run dpkg on this root, with maintainer scripts that see it as DPKG_ROOT."""
        argv = ["dpkg", f"--root={self.path}", "--force-script-chrootless", "--force-depends", *arguments]
        environment = {
            "PATH": f"{self.stubs}:/usr/sbin:/usr/bin:/sbin:/bin",
            "CALLS": str(self.stubs / "calls"),
            "RUNNING": str(self.running),
            "QUIESCED_WAIT_S": str(wait_s),
            "LC_ALL": "C",
        }
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def configure(self, certificate: Path, private_key: Path) -> None:
        """Put a configuration there that can be used, with its state below this root."""
        key = self.path / "etc/quiesced/keys/k1"
        key.parent.mkdir(parents=True, exist_ok=True)
        key.touch(mode=0o600)
        key.write_text("a secret that only this test has")
        self.config.write_text(
            f"""
state_dir = "{self.path}/run/quiesced"
[listen]
host = "127.0.0.1"
port = 9443
certificate = "{certificate}"
private_key = "{private_key}"
[keys]
k1 = "{key}"
[limits]
acquire_limit_s = 3
hold_limit_s = 20
"""
        )


def debian_root(where: Path, *, systemd: bool) -> Root:
    """Make an empty host; with ``systemd`` it has a service manager that runs."""
    root = Root(where / "root", where / "stubs")
    for directory in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "etc", "run"):
        (root.path / directory).mkdir(parents=True)
    for name in ("status", "available"):
        (root.path / "var/lib/dpkg" / name).touch()
    for name, text in _ACCOUNTS.items():
        (root.path / "etc" / name).write_text(text)
    if systemd:
        (root.path / "run/systemd/system").mkdir(parents=True)
    root.stubs.mkdir()
    for name, script in (("systemctl", _SYSTEMCTL), ("systemd-run", _SYSTEMD_RUN)):
        (root.stubs / name).write_text(script)
        (root.stubs / name).chmod(0o755)
    return root
