"""The requirement files pin everything, and say nothing of where packages come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
COMPILED = sorted((ROOT / "requirements").glob("*.txt"))
INDEX = re.compile(r"://|index-url|find-links|extra-index|^-|@\s")


def problems(text: str) -> list[str]:
    """Lines that are not one pinned requirement."""
    found = []
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        if INDEX.search(line):
            found.append(f"says where packages come from: {line}")
        elif not is_pinned(Requirement(line).specifier):
            found.append(f"is not pinned: {line}")
    return found


def is_pinned(specifiers: SpecifierSet) -> bool:
    return [spec.operator for spec in specifiers] == ["=="] and "*" not in str(specifiers)


def test_the_four_requirement_files_are_there() -> None:
    assert {path.stem for path in COMPILED} == {"function", "daemon", "daemon-test", "dev"}


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_no_index_is_named(path: Path) -> None:
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("requests>=2", id="a lower bound"),
        pytest.param("requests", id="no version"),
        pytest.param("requests==2.*", id="a wildcard"),
        pytest.param("--index-url https://packages.example.com/simple", id="an index"),
        pytest.param("--find-links wheels", id="a folder"),
        pytest.param("requests @ https://packages.example.com/requests.whl", id="an address"),
    ],
)
def test_a_loose_line_is_found(line: str) -> None:
    assert len(problems(f"idna==3.20\n{line}\n")) == 1


@pytest.mark.parametrize("name", ["function", "daemon"])
def test_what_is_shipped_is_what_the_tests_run_against(name: str) -> None:
    """A pin that differs between the shipped set and the development set would be tested by nobody."""
    shipped = {line for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines() if "<" not in line}
    development = (ROOT / "requirements/dev.txt").read_text().splitlines()
    pins = {re.split(r"[ ;]", line)[0] for line in development}
    assert {re.split(r"[ ;]", line)[0] for line in shipped} <= pins
