"""Every command in the documents is run, in the order of its page, against the lab's cloud.

A block that cannot be has a reason in a comment above it: ``<!-- not run: why -->``.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import add, populate

DOCS = Path(__file__).resolve().parents[2] / "docs"
ELSEWHERE = {
    "how-to/deploy.md": "tests/deployment/test_operator_permissions.py",
    "how-to/install-agents.md": "tests/deployment/test_operator_permissions.py",
    "how-to/install-the-daemon.md": "tests/package/test_how_to.py",
    "how-to/rehearse.md": "tests/package/test_how_to.py",
}
"""Pages whose commands are for an instance or an account: another test looks at them, and every option is tried here."""
PAGES = sorted(
    {path.relative_to(DOCS).as_posix() for path in (DOCS / "tutorial.md", *DOCS.glob("how-to/*.md"))} - ELSEWHERE.keys()
)
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
    assert with_commands <= {*PAGES, *ELSEWHERE}


@pytest.mark.parametrize("page", sorted(ELSEWHERE))
def test_every_option_of_the_command_that_a_page_names_is_there(page: str) -> None:
    for line in (line for _, text in blocks(page) for line in text.splitlines() if line.startswith("quiesce ")):
        words = shlex.split(line, comments=True)[1:]
        names = [word for word in words if word.startswith("--")]
        command = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
        found = subprocess.run(
            [sys.executable, "-m", "quiesce", *command, "--help"], check=True, capture_output=True, text=True, timeout=60
        )
        assert [name for name in names if name.split("=")[0] not in found.stdout] == [], line


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {page for page in pages if page not in index and not page.startswith("adr/")} == {"README.md"}
