"""The mutation check: every breakage of ``mutations.toml`` has to make a test that it names fail.

    python -m tests.mutate [words in the names of some mutations]

Each mutation is made in a copy of the tree, so the tree itself stays as it is. The tests that are named have to pass
without any. Result: build/mutations.json.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutations.toml")
FOLDERS = ("src", "hooks", "lab", "tests", "bench", "scripts", "docs", "requirements", "deploy")
COPIED = (*FOLDERS, *(path.name for path in sorted(ROOT.iterdir()) if path.is_file()))
AT_ONCE = 2
RUN_LIMIT_S = 240.0
TEST_LIMIT_S = 30
FAILED = 1
"""What pytest ends with when it ran and a test failed; a tree that cannot even be imported proves nothing."""


@dataclass(frozen=True)
class Edit:
    """One replacement in one file."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A deliberate breakage, and the tests of which one at least has to fail."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def read() -> tuple[Mutation, ...]:
    """Read the list. A mutation is one edit of its own, and further ones under ``then``."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutation"]
    return tuple(
        Mutation(
            each["name"],
            tuple(Edit(e["file"], e["old"], e["new"]) for e in (each, *each.get("then", ()))),
            tuple(each["tests"]),
        )
        for each in listed
    )


def stale(mutations: Sequence[Mutation]) -> list[str]:
    """Name every edit whose old text is not in its file exactly once."""
    return [
        f"{mutation.name}: the old text is {count} times in {edit.file}; bring tests/mutations.toml up to date"
        for mutation in mutations
        for edit in mutation.edits
        if (count := (ROOT / edit.file).read_text(encoding="utf-8").count(edit.old)) != 1
    ]


def copy_tree(to: Path) -> None:
    """Copy everything that the tests read, but for what is made by running them."""
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, to / name)


@contextmanager
def mutated(tree: Path, mutation: Mutation) -> Iterator[None]:
    """Have the edits in the copied tree for a while."""
    originals = {edit.file: (tree / edit.file).read_text(encoding="utf-8") for edit in mutation.edits}
    try:
        for edit in mutation.edits:
            content = (tree / edit.file).read_text(encoding="utf-8")
            (tree / edit.file).write_text(content.replace(edit.old, edit.new), encoding="utf-8")
        yield
    finally:
        for file, content in originals.items():
            (tree / file).write_text(content, encoding="utf-8")


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests in a tree; return what pytest ended with, and the end of what it said."""
    # No bytecode: a mutation of the same length within the same second would not be seen to differ from the original.
    paths = os.pathsep.join(str(tree / part) for part in ("src", "hooks", "lab", "."))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    # By a thread: the time limit then ends a test, too, that hangs in its clean-up.
    limit = (f"--timeout={TEST_LIMIT_S}", "--timeout-method=thread")
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *limit, *tests]
    process = subprocess.Popen(
        argv, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=RUN_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
    return process.returncode, said[-3000:]


def check(mutations: Sequence[Mutation]) -> dict[str, str]:
    """Try each mutation; return the name of each that was not caught, and why."""
    trees: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def attempt(mutation: Mutation) -> str:
        tree = trees.get()
        started_s = time.monotonic()
        try:
            with mutated(tree, mutation):
                status, said = run_tests(tree, mutation.tests)
        finally:
            trees.put(tree)
        caught = "caught" if status == FAILED else "ESCAPED"
        print(f"{caught:8}{time.monotonic() - started_s:6.1f} s  {mutation.name}", flush=True)
        return "" if status == FAILED else f"pytest ended with {status}: {said}"

    with tempfile.TemporaryDirectory(prefix="mutate-") as home, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            (Path(home) / str(number)).mkdir()
            copy_tree(Path(home) / str(number))
            trees.put(Path(home) / str(number))
        results = dict(zip((mutation.name for mutation in mutations), pool.map(attempt, mutations), strict=True))
    return {name: why for name, why in results.items() if why}


def insist_on_sound_tests(mutations: Sequence[Mutation]) -> None:
    """Run every named test without a mutation; end the program when one fails or is skipped."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    with tempfile.TemporaryDirectory(prefix="mutate-") as home:
        copy_tree(Path(home))
        status, said = run_tests(Path(home), tests)
    if status != 0 or "skipped" in said.splitlines()[-1]:
        sys.exit(f"{said}\nthe named tests have to pass, and none may be skipped (some need root and MariaDB)")


def main() -> int:
    """Check every mutation, or those whose name has one of the words given; 1 when any escaped."""
    words = sys.argv[1:]
    mutations = [each for each in read() if not words or any(word in each.name for word in words)]
    problems = stale(mutations)
    if problems:
        sys.exit("\n".join(problems))
    insist_on_sound_tests(mutations)
    escaped = check(mutations)
    for name, why in escaped.items():
        print(f"\n{name}\n{why}")
    result: dict[str, object] = {
        "mutations": len(mutations),
        "caught": len(mutations) - len(escaped),
        "escaped": sorted(escaped),
    }
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/mutations.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
