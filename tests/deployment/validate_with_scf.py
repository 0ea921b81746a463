"""Validates template.yaml with the old command's own validator: python validate_with_scf.py <folder> <file> [more runtimes].

Run as a program of its own: the package's folder is full of old dependencies' names.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import yaml


def main(folder: str, file: str, *runtimes: str) -> None:
    """Say nothing when the file is valid; end with the validator's error otherwise."""
    sys.path.insert(0, folder)
    schema = importlib.import_module("tcfcli.common.tcsam.function").func_schema
    schema["properties"]["Properties"]["properties"]["Runtime"]["enum"] += runtimes
    importlib.import_module("tcfcli.common.tcsam").tcsam_validate(yaml.safe_load(Path(file).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
