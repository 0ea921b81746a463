"""docs/security.md claims nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_and_file_that_the_page_names_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    written = {name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    files = re.findall(r"`((?:hooks|src|tests)/[\w/.]+)`", text)
    assert len(named) > 25
    assert sorted(named - written) == []
    assert [file for file in files if not (ROOT / file).is_file()] == []
