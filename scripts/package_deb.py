"""Builds build/quiesced_VERSION_all.deb: the daemon as a Debian package, the same byte for byte from the same tree.

    /usr/share/quiesced/quiesced.pyz      the program as it was built
    /usr/lib/quiesced/quiesced.pyz        the program as it runs: written by postinst, compiled for the host's Python
    /usr/sbin/quiesced                    the command
    /usr/lib/systemd/system               the service
    /etc/quiesced/quiesced.example.toml   every setting, commented
    /usr/share/quiesced                   install.sh, which makes the first configuration, and service.sh

Format: deb(5), an ar archive of two compressed tar archives. The maintainer scripts lie in hooks/debian/.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from scripts import package_daemon
from scripts.package_wheels import PackagingError

from quiesced import __version__

ROOT = Path(__file__).resolve().parent.parent
HOOKS = ROOT / "hooks"
INSTALLED = "/usr/lib/quiesced/quiesced.pyz"
WHEN_S = 315_532_800
"""1980-01-01, as in the zip files: a build's own time must not show."""
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
EXAMPLE = "etc/quiesced/quiesced.example.toml"

_CONTROL = """Package: quiesced
Version: {version}
Architecture: all
Maintainer: The Quiesce project
Installed-Size: {kib}
Depends: python3 (>= 3.9), passwd
Recommends: openssl, systemd
Section: admin
Priority: optional
Description: holds an instance still while its disks are snapshotted
 The hook daemon of Quiesce: asked by a serverless function, it flushes and locks
 databases, freezes filesystems, and lets go in time, whatever happens. Databases:
 MySQL, MariaDB, PostgreSQL, Redis, Valkey and SQLite; anything else by a script.
"""
_COMMAND = f'#!/bin/sh\nexec /usr/bin/python3 -I -S -B {INSTALLED} "$@"\n'


@dataclass(frozen=True)
class File:
    """A file of a package: its path without the first slash, what it holds, and its mode."""

    path: str
    content: bytes
    mode: int = 0o644


def files(archive: Path) -> list[File]:
    """Return every file that the package puts on a host; ``archive`` is quiesced.pyz."""
    unit = (HOOKS / "quiesced.service").read_text().replace("/opt/quiesced/quiesced.pyz", INSTALLED)
    return [
        File(EXAMPLE, (HOOKS / "quiesced.example.toml").read_bytes(), 0o640),
        File("usr/lib/systemd/system/quiesced.service", unit.encode()),
        File("usr/sbin/quiesced", _COMMAND.encode(), 0o755),
        File("usr/share/doc/quiesced/copyright", (ROOT / "LICENSE").read_bytes()),
        File("usr/share/quiesced/install.sh", (HOOKS / "install.sh").read_bytes(), 0o755),
        File("usr/share/quiesced/quiesced.pyz", archive.read_bytes(), 0o755),
        File("usr/share/quiesced/service.sh", (HOOKS / "service.sh").read_bytes(), 0o755),
    ]


def build(archive: Path, package: Path) -> None:
    """Write the package. Raises OSError."""
    placed = files(archive)
    data = _tar(placed, {"etc/quiesced": 0o750, "usr/lib/quiesced": 0o755})
    members = {"debian-binary": b"2.0\n", "control.tar.gz": _tar(_control(placed), {}), "data.tar.gz": data}
    package.parent.mkdir(parents=True, exist_ok=True)
    package.write_bytes(b"!<arch>\n" + b"".join(_member(name, content) for name, content in members.items()))


def _control(placed: list[File]) -> list[File]:
    kib = sum(-(-len(file.content) // 1024) for file in placed)
    sums = "".join(f"{hashlib.md5(file.content, usedforsecurity=False).hexdigest()}  {file.path}\n" for file in placed)
    return [
        File("control", _CONTROL.format(version=__version__, kib=kib).encode()),
        File("conffiles", f"/{EXAMPLE}\n".encode()),
        File("md5sums", sums.encode()),
        *(File(name, (HOOKS / "debian" / name).read_bytes(), 0o755) for name in SCRIPTS),
    ]


def _tar(placed: list[File], folders: dict[str, int]) -> bytes:
    """Pack files of root, each after the folders that it lies in, and compress them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as output:
        above = {str(parent) for file in placed for parent in Path(file.path).parents}
        for name in sorted(above | set(folders)):
            _add(output, name, None, folders.get(name, 0o755))
        for file in placed:
            _add(output, file.path, file.content, file.mode)
    return gzip.compress(buffer.getvalue(), compresslevel=9, mtime=0)


def _add(output: tarfile.TarFile, name: str, content: bytes | None, mode: int) -> None:
    entry = tarfile.TarInfo("./" if name == "." else f"./{name}")
    entry.mode, entry.mtime, entry.uname, entry.gname = mode, WHEN_S, "root", "root"
    if content is None:
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = len(content)
    output.addfile(entry, None if content is None else io.BytesIO(content))


def _member(name: str, content: bytes) -> bytes:
    """Write one member of the ar archive: a header of 60 bytes, then the content, padded to an even length."""
    header = f"{name:<16}{WHEN_S:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n"
    return header.encode("ascii") + content + b"\n" * (len(content) % 2)


def main() -> None:
    """Build into build/."""
    archive = ROOT / "build" / "quiesced.pyz"
    package = ROOT / "build" / f"quiesced_{__version__}_all.deb"
    try:
        package_daemon.build(ROOT / "build" / "daemon", archive)
    except PackagingError as error:
        sys.exit(f"cannot build the daemon: {error}")
    build(archive, package)
    print(f"{package.relative_to(ROOT)}: {package.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
