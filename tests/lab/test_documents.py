"""Every command in the documents is run, in the order of its page, against the lab's cloud.

A block that cannot be has a reason in a comment above it: ``<!-- not run: why -->``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import add, populate

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / "tutorial.md", *DOCS.glob("how-to/*.md")))
BLOCK = re.compile(r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?^```sh\n(?P<text>.*?)^```$", re.M | re.S)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        for number in range(4):
            add(lab, number, number + 0.5)
        yield lab


def blocks(page: str) -> list[tuple[str, str]]:
    return [(found["why"] or "", found["text"]) for found in BLOCK.finditer((DOCS / page).read_text())]


def environment(lab: Lab, home: Path) -> dict[str, str]:
    commands = Path(sys.executable).parent
    return {
        "HOME": str(home),
        "PATH": f"{commands}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "TENCENTCLOUD_SECRET_ID": SECRET_ID,
        "TENCENTCLOUD_SECRET_KEY": SECRET_KEY,
        "TENCENTCLOUD_TOKEN": TOKEN,
        "TENCENTCLOUD_REGION": REGION,
        "QUIESCE_CLOUD_ENDPOINT": lab.endpoint,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
    }


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_they_are_there_for(page: str, lab: Lab, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "policies.toml").write_text((tmp_path / "policies.toml").read_text())  # what an earlier page made
    for why, text in blocks(page):
        if why:
            continue
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", text],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=home,
            env=environment(lab, home),
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


def test_every_page_with_commands_is_among_those_that_are_run() -> None:
    with_commands = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "```sh" in path.read_text()}
    assert with_commands <= set(PAGES)


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {page for page in pages if page not in index and not page.startswith("adr/")} == {"README.md"}
