"""The exit statuses that belong to no single command, by the program itself."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce.commands.exits import Exit
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import add, populate


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        yield lab


def start(lab: Lab, *arguments: str) -> subprocess.Popen[str]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(lab.ca_file.parent),
        "QUIESCE_LANGUAGE": "en",
        "TENCENTCLOUD_SECRET_ID": SECRET_ID,
        "TENCENTCLOUD_SECRET_KEY": SECRET_KEY,
        "TENCENTCLOUD_TOKEN": TOKEN,
        "TENCENTCLOUD_REGION": REGION,
        "QUIESCE_CLOUD_ENDPOINT": lab.endpoint,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
    }
    command = [sys.executable, "-m", "quiesce", *arguments]
    # What runs in the background of a script ignores the keyboard, and so would its children.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env, preexec_fn=heard)  # noqa: PLW1509


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("list", "--output", "json"), Exit.OK, '"kind": "sets"'),
        (("--version",), Exit.OK, "quiesce, version"),
        (("show", "latest"), Exit.REFUSED, "there is no set 'latest'"),
        (("policy", "check", "none.toml"), Exit.UNUSABLE, "cannot read none.toml"),
        (("list", "--lately"), Exit.USAGE, "No such option"),
        (("lists",), Exit.USAGE, "No such command"),
    ],
)
def test_the_program_ends_with_the_status_of_what_happened(
    lab: Lab, arguments: tuple[str, ...], status: Exit, words: str
) -> None:
    with start(lab, *arguments) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert words in output + errors


def test_interrupted_from_the_keyboard_is_130(lab: Lab) -> None:
    add(lab, 1, 0.01, stuck_percent=50)
    with start(lab, "wait", "0000000001") as process:
        assert process.stderr is not None
        assert "50 %" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
