"""Builds build/quiesce-function.zip for SCF, and build/function, the same files unpacked (serverless.yml's ``src``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from scripts import package_archive, package_wheels
from scripts.package_wheels import Home, PackagingError

ROOT = Path(__file__).resolve().parent.parent

# The newest Python that SCF has (tencentcloud.com/document/product/583/40323), on CentOS 7.
SCF = Home(pythons=("3.10",), platform=package_wheels.MANYLINUX2014)

# Of the SDK's more than 260 folders, the core, and what the serverless SDK invokes by: every other call goes through the
# core's CommonClient, without the typed models of a product. The whole SDK is 170 MB and zips to more than 20 MB.
KEPT_PRODUCTS = ("common", "scf")

# The API of SCF (version 2018-04-16) takes a ZipFile of at most 20 MB in UpdateFunctionCode.
LIMIT_BYTES = 20_000_000

# What the SDK's wheel carries besides: its predecessor, for an API that is no more. And what the serverless SDK names as a
# need, and imports nowhere.
NEVER_USED = ("QcloudApi", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")

# The operator's command and what it alone does; it needs click and cryptography, which the function does not carry.
NOT_THE_FUNCTION = ("quiesce/__main__.py", "quiesce/cli.py", "quiesce/commands", "quiesce/deployment")

# Where SCF unpacks the code; tracebacks name files by it, and not by where they were built.
CODE_ROOT = "/var/user"


def build(tree: Path, archive: Path) -> None:
    """Fill ``tree`` and zip it to ``archive``. Raises PackagingError when the result could not run in SCF."""
    package_wheels.install(ROOT / "requirements" / "function.txt", tree, SCF)
    problems = package_wheels.check(tree, SCF)
    if problems:
        raise PackagingError("; ".join(problems))
    package_wheels.prune(tree, NEVER_USED)
    for path in tree.glob("setuptools-*.dist-info"):
        shutil.rmtree(path)
    package_wheels.keep_only(tree / "tencentcloud", KEPT_PRODUCTS)
    package_wheels.copy_program(ROOT / "src", tree)
    for name in NOT_THE_FUNCTION:
        place = tree / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    copy_authorities(ROOT / "src", tree)
    compile_tree(tree)
    package_archive.set_modes(tree)
    package_archive.write_archive(tree, archive)
    check_size(archive)


def copy_authorities(source: Path, tree: Path) -> None:
    """Copy the operator's CA certificates (``*.pem`` at the top of src/), which QUIESCE_HOOK_CA names.

    Raises PackagingError for a private key: whoever may read the function's code could read it.
    """
    for path in sorted(source.glob("*.pem")):
        content = path.read_bytes()
        if b"PRIVATE KEY" in content:
            raise PackagingError(f"{path.name} holds a private key; put it in a layer of its own (it appears in /opt)")
        (tree / path.name).write_bytes(content)


def check_size(archive: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Raise PackagingError when the archive is more than SCF takes."""
    size_bytes = archive.stat().st_size
    if size_bytes > limit_bytes:
        raise PackagingError(f"{archive.name} is {size_bytes:,} bytes; SCF takes {limit_bytes:,}")


def compile_tree(tree: Path) -> None:
    """Add bytecode, because SCF forbids Python to write any: without it each cold start compiles every module anew.

    Unchecked, because unzipping changes the times that a checked .pyc is compared by.
    """
    python = find_python("3.10")
    if python is None:
        print("No Python 3.10 here: building without bytecode; every cold start will compile anew")
        return
    command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(tree), "-p", CODE_ROOT, str(tree)]
    # A fixed hash seed: the order of a set constant would differ from build to build.
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "0"})


def find_python(version: str) -> str | None:
    """Path of an interpreter of exactly this version, or None."""
    command = [str(ROOT / "scripts" / "find-python"), "exactly", version]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    return found.stdout.strip() or None


def main() -> None:
    """Build into build/."""
    tree, archive = ROOT / "build" / "function", ROOT / "build" / "quiesce-function.zip"
    try:
        build(tree, archive)
    except PackagingError as error:
        sys.exit(f"cannot build the function: {error}")
    print(f"{archive.relative_to(ROOT)}: {archive.stat().st_size:,} bytes; unpacked in {tree.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
