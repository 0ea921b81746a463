"""Zip files that come out the same, byte for byte, from the same tree."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

# The first moment that a zip file can name: a build's own time must not show in it.
EPOCH = (1980, 1, 1, 0, 0, 0)
FILE_MODE = 0o644
FOLDER_MODE = 0o755


def set_modes(tree: Path) -> None:
    """Make a tree readable by others, whatever the umask: SCF runs the code as a user that does not own it."""
    for path in [tree, *tree.rglob("*")]:
        path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)


def write_archive(tree: Path, archive: Path, *, shebang: str | None = None) -> None:
    """Zip ``tree``, sorted by name; with ``shebang``, as an executable that this interpreter runs (PEP 441)."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with archive.open("wb") as stream:
        if shebang:
            stream.write(f"#!{shebang}\n".encode())
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as output:
            for path in sorted(tree.rglob("*"), key=lambda path: path.relative_to(tree).as_posix()):
                _add(output, path, path.relative_to(tree).as_posix())
    archive.chmod(FOLDER_MODE if shebang else FILE_MODE)


def _add(output: zipfile.ZipFile, path: Path, name: str) -> None:
    folder = path.is_dir()
    entry = zipfile.ZipInfo(f"{name}/" if folder else name, EPOCH)
    entry.create_system = 3  # Unix, so that the modes are read
    mode = stat.S_IFDIR | FOLDER_MODE if folder else stat.S_IFREG | FILE_MODE
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
    output.writestr(entry, b"" if folder else path.read_bytes())
