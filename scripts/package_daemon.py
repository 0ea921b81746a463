"""Builds build/quiesced.pyz: the daemon and everything it needs in one file that any Python 3.9 or newer runs."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts import package_archive, package_wheels
from scripts.package_wheels import Home, PackagingError

ROOT = Path(__file__).resolve().parent.parent

# Wheels are chosen for the oldest and checked for the newest; only pure Python is the same on both.
INSTANCES = Home(pythons=("3.9", "3.10", "3.11", "3.12", "3.13"), platform=None)
SHEBANG = "/usr/bin/env python3"

# Not zipapp's own: that one drops what main returns, and the exit status with it.
MAIN = "import sys\n\nfrom quiesced.cli import main\n\nsys.exit(main())\n"


def build(tree: Path, archive: Path) -> None:
    """Fill ``tree`` and zip it to ``archive``. Raises PackagingError when the result could not run everywhere."""
    package_wheels.install(ROOT / "requirements" / "daemon.txt", tree, INSTANCES)
    problems = package_wheels.check(tree, INSTANCES)
    if problems:
        raise PackagingError("; ".join(problems))
    package_wheels.prune(tree)
    package_wheels.copy_program(ROOT / "hooks" / "quiesced", tree / "quiesced")
    (tree / "__main__.py").write_text(MAIN)
    package_archive.write_archive(tree, archive, shebang=SHEBANG)


def main() -> None:
    """Build into build/."""
    archive = ROOT / "build" / "quiesced.pyz"
    try:
        build(ROOT / "build" / "daemon", archive)
    except PackagingError as error:
        sys.exit(f"cannot build the daemon: {error}")
    print(f"{archive.relative_to(ROOT)}: {archive.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
