"""Errors can be raised through any ``with``: from Python 3.11 on, leaving one sets the traceback of what passes."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = [path for folder in ("src", "hooks", "lab") for path in sorted((ROOT / folder).rglob("*.py"))]


def frozen_errors(source: str) -> list[str]:
    """Classes that are errors by their bases' names, and frozen dataclasses: setting anything of them fails."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
        and any("frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def test_no_error_is_frozen() -> None:
    assert frozen_errors("@dataclass(frozen=True)\nclass _Found(Exception): ...") == ["_Found"]
    assert {path: found for path in CODE if (found := frozen_errors(path.read_text()))} == {}
