"""Every command that a how-to tells to run can be run."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from quiesced import cli
from quiesced.rehearsal.report import REMEDIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("install-the-daemon", "rehearse")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


def commands(page: str) -> list[list[str]]:
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines() if line]
    split = [shlex.split(line) for line in lines]
    return [words[1:] if words[0] == "sudo" else words for words in split]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_quiesced_is_one(page: str) -> None:
    ours = [words[1:] for words in commands(page) if words[0] == "quiesced"]
    assert len(ours) >= 3
    for words in ours:
        cli._parser().parse_args(words)  # ends the test where it does not know a word


def test_every_use_of_install_sh_names_options_that_it_has() -> None:
    script = (ROOT / "hooks" / "install.sh").read_text()
    known = set(re.findall(r"--[a-z-]+", script))
    used = {word for words in commands("install-the-daemon") if words[0] == "sh" for word in words if word.startswith("--")}
    assert {"--upgrade", "--uninstall", "--purge", "--only-configure"} <= used <= known


def test_every_script_is_one_for_the_shell() -> None:
    for script in (ROOT / "hooks" / "install.sh", ROOT / "hooks" / "service.sh", *(ROOT / "hooks" / "debian").iterdir()):
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0, script


def test_every_reason_of_a_rehearsal_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "rehearse.md").read_text() + (ROOT / "hooks" / "PROTOCOL.md").read_text()
    assert [code for code in REMEDIES if f"`{code}`" not in page] == []
