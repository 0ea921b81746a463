"""Fetching the wheels of a package, checking that they run where they are sent, and leaving out what is not needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging import tags
from packaging.specifiers import SpecifierSet

# CentOS 7 has glibc 2.17, which is what manylinux2014 stands for.
MANYLINUX2014_GLIBC_MINOR = 17
MANYLINUX2014 = "manylinux2014_x86_64"


class PackagingError(Exception):
    """A package cannot be built, or would not run where it is sent."""


@dataclass(frozen=True)
class Home:
    """Where a package runs: every Python it meets, and the platform of its wheels (None for pure Python only)."""

    pythons: tuple[str, ...]
    platform: str | None

    def wheel_tags(self) -> frozenset[tags.Tag]:
        """Wheel tags that load there."""
        major, minor = (int(part) for part in self.pythons[0].split("."))
        platforms = _manylinux2014_platforms() if self.platform else []
        compatible = tags.compatible_tags((major, minor), f"cp{major}{minor}", platforms)
        if not self.platform:
            return frozenset(compatible)
        return frozenset([*tags.cpython_tags((major, minor), platforms=platforms), *compatible])


def install(requirements: Path, target: Path, home: Home) -> None:
    """Unpack the pinned wheels of ``requirements`` into the new folder ``target``, chosen for ``home``.

    Raises PackagingError when neither uv nor pip can get them.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if _run([*_uv_command(home), "--target", str(target), "--requirement", str(requirements)]):
        return
    # uv does not read pip's settings, so pip may know an index that uv does not.
    print("uv could not fetch the wheels; trying pip, which takes a minute", file=sys.stderr)
    shutil.rmtree(target, ignore_errors=True)
    if not _run([*_pip_command(home), "--target", str(target), "--requirement", str(requirements)]):
        raise PackagingError(f"neither uv nor pip could fetch the wheels of {requirements}; is an index reachable?")


def check(target: Path, home: Home) -> list[str]:
    """Say what in ``target`` would not run at ``home``, one sentence each; nothing when all does."""
    problems = [problem for dist in _distributions(target) for problem in _distribution_problems(dist, home)]
    for library in sorted(target.rglob("*.so*")):
        needed = glibc_minor(library.read_bytes())
        if home.platform is None:
            problems.append(f"{library.name} is compiled; only pure Python runs on every instance")
        elif needed > MANYLINUX2014_GLIBC_MINOR:
            problems.append(f"{library.name} needs glibc 2.{needed}; the function has 2.{MANYLINUX2014_GLIBC_MINOR}")
    return problems


def glibc_minor(library: bytes) -> int:
    """Return the newest glibc 2.x that an ELF file asks for, read from the version names in its string table."""
    return max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", library)), default=0)


def prune(target: Path, never_used: Iterable[str] = ()) -> None:
    """Remove what never runs: ``never_used``, scripts, tests, and of each dist-info all but metadata and licences.

    METADATA stays: it says to importlib.metadata, and to whoever scans the package, which version is inside.
    """
    for name in ("bin", ".lock", *never_used):
        _remove(target / name)
    for folder in [path for path in target.rglob("*") if path.name in {"__pycache__", "test", "tests"}]:
        _remove(folder)
    for dist_info in target.glob("*.dist-info"):
        for path in dist_info.iterdir():
            if not re.match(r"METADATA|LICEN[CS]E|COPYING|NOTICE", path.name, re.IGNORECASE):
                _remove(path)


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove every folder in ``folder`` whose name is not in ``names``; files stay."""
    wanted = frozenset(names)
    for path in folder.iterdir():
        if path.is_dir() and path.name not in wanted:
            _remove(path)


def copy_program(source: Path, target: Path) -> None:
    """Copy a program's own files: Python, TOML, templates, catalogs and the typing marker; nothing else that lies about."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and (path.suffix in {".py", ".toml", ".j2", ".css", ".mo"} or path.name == "py.typed"):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


_SOURCES = ("--no-binary", "tencentserverless")
"""What its makers publish as source alone; it is pure Python."""


def _uv_command(home: Home) -> list[str]:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--link-mode", "copy"]
    command += ["--only-binary", ":all:", *_SOURCES, "--python-version", home.pythons[0]]
    return command + (["--python-platform", "x86_64-manylinux2014"] if home.platform else [])


def _pip_command(home: Home) -> list[str]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    command += ["--only-binary", ":all:", *_SOURCES, "--implementation", "cp", "--python-version", home.pythons[0]]
    return [*command, "--platform", home.platform or "any"]


def _run(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def _distributions(target: Path) -> list[metadata.Distribution]:
    return sorted(metadata.distributions(path=[str(target)]), key=lambda dist: dist.name)


def _distribution_problems(dist: metadata.Distribution, home: Home) -> list[str]:
    problems = []
    requires = SpecifierSet(",".join(dist.metadata.get_all("Requires-Python") or []))
    for python in home.pythons:
        if not requires.contains(python):
            problems.append(f"{dist.name} {dist.version} wants Python {requires}, and meets {python}")
    lines = (dist.read_text("WHEEL") or "").splitlines()
    labels = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Tag:")]
    wheel_tags = {tag for label in labels for tag in tags.parse_tag(label)}
    if not wheel_tags & home.wheel_tags():
        problems.append(f"{dist.name} {dist.version} is a wheel for {', '.join(labels) or 'nothing'}")
    return problems


def _manylinux2014_platforms() -> list[str]:
    return [MANYLINUX2014, *(f"manylinux_2_{minor}_x86_64" for minor in range(MANYLINUX2014_GLIBC_MINOR, 4, -1))]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
