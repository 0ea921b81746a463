"""What the documents point at exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("hooks/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_of_the_project(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", page.read_text())  # a pattern may look like a link
    links = [link for link in LINK.findall(prose) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_every_make_target_that_a_document_names_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert named <= targets, named - targets


def test_make_without_a_target_explains_every_target_that_a_person_needs() -> None:
    shown = subprocess.run(["make", "-s", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    needed = set(phony[1].split()) - {"help", "lab-packages"}
    assert [target for target in sorted(needed) if f"make {target} " not in shown] == []


ACCIDENTS = (ROOT / "docs/accidents.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_of_accidents_names_exists() -> None:
    missing = []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", ACCIDENTS):
        source = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
        if not re.search(rf"^(def {name}\(|{name} = )", source, re.M):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_accident_has_a_test_or_a_sentence() -> None:
    rows = [
        row.strip("| ").split(" | ") for row in re.findall(r"^\| .*", ACCIDENTS, re.M) if not row.startswith("| Accident")
    ]
    assert len(rows) >= 38
    assert [row[0] for row in rows if len(row) != 2 or len(row[1]) < 40] == []
