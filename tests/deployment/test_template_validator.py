"""template.yaml through the validator of the old `scf` command (PyPI scf 0.2.8) itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.manifests import ROOT

pytestmark = pytest.mark.lab

VERSION = "0.2.8"
FOLDER = ROOT / "build" / "scf-validator"
SCRIPT = Path(__file__).with_name("validate_with_scf.py")


@pytest.fixture(scope="module")
def validator() -> Path:
    """The folder that the command's package is installed in, without the dependencies that no longer fit together."""
    if not (FOLDER / "tcfcli").is_dir():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(FOLDER), f"scf=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"the package index has no scf {VERSION} here: {done.stderr.strip().splitlines()[-1:]}")
    return FOLDER


def validated(folder: Path, file: Path, *runtimes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(folder), str(file), *runtimes]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_template_is_valid_but_for_the_runtime_that_its_head_comment_speaks_of(validator: Path) -> None:
    refused = validated(validator, ROOT / "template.yaml")
    assert refused.returncode != 0
    assert "Python3.10" in refused.stderr + refused.stdout
    accepted = validated(validator, ROOT / "template.yaml", "Python3.10")
    assert accepted.returncode == 0, accepted.stderr


def test_what_the_grammar_lacks_is_refused_by_the_validator_too(validator: Path, tmp_path: Path) -> None:
    changed = tmp_path / "template.yaml"
    changed.write_text((ROOT / "template.yaml").read_text().replace("Type: Timer", "Type: timer"))
    refused = validated(validator, changed, "Python3.10")
    assert (refused.returncode, "'Type': 'timer'" in refused.stderr.splitlines()[-2]) == (1, True), refused.stderr
