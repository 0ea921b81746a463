"""Neither program can hand a string to a shell, or to the interpreter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted([*(ROOT / "hooks" / "quiesced").rglob("*.py"), *(ROOT / "src").rglob("*.py")])
SHELLS = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell", "spawnl", "spawnlp"}
EVALUATION = {"eval", "exec"}


def shells(text: str) -> list[str]:
    """Calls that could hand a string to a shell, or to the interpreter."""
    found = []
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        shell = any(word.arg == "shell" for word in call.keywords)
        if name in SHELLS or (isinstance(call.func, ast.Name) and name in EVALUATION) or shell:
            found.append(name)
    return found


def test_nothing_runs_a_shell_or_evaluates_text() -> None:
    assert len(CODE) > 50
    assert {str(path): shells(path.read_text()) for path in CODE if shells(path.read_text())} == {}


@pytest.mark.parametrize("text", ["os.system('x')", "subprocess.run('x', shell=True)", "eval('x')", "os.popen('x')"])
def test_a_shell_would_be_found(text: str) -> None:
    assert len(shells(text)) == 1
