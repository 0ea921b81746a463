"""The README says the same two commands and the same levels in every language, and each names the others."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("README.md", "README.zh-CN.md", "README.pt-BR.md")


@pytest.mark.parametrize("name", NAMES)
def test_every_readme_has_the_two_commands_the_levels_and_the_way_to_the_others(name: str) -> None:
    text = (ROOT / name).read_text()
    for said in ("make demo ", "make test ", "`none`", "`crash`", "`application`", "CreateSnapshot"):
        assert said in text
    assert all(f"]({other})" in text for other in NAMES if other != name)
