"""Which scripts an application has, whether they may be run, and with what they are called."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from quiesced.errors import Refused
from quiesced.permissions import program_problem
from quiesced.quiescers.base import Budget
from quiesced.quiescers.script.process import Done, Left, ScriptError, ScriptTimeout, run
from quiesced.tables import Table
from quiesced.words import _

IN_THE_WAY = 75
"""Exit status by which a script says that something stands in the way for now (EX_TEMPFAIL of sysexits.h)."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""Names that are run in a directory, as run-parts(8) has them: no copies of editors and package managers."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Options:
    """The keys of an ``[[application]]`` table with engine "script". Either ``command`` or ``directory`` is set."""

    command: tuple[str, ...] = ()
    """An executable, by its absolute path, and its first arguments; ``check``, ``quiesce`` or ``release`` comes last."""
    directory: Optional[Path] = None
    """In the place of ``command``: every executable of this directory, in the order of their names."""
    timeout_s: float = 10.0
    """How long each call of each script may take; then it is killed with everything that it started."""


@dataclass(frozen=True)
class Script:
    """One executable with its arguments."""

    name: str
    argv: tuple[str, ...]


def read_options(content: dict[str, object], path: str) -> tuple[Options, tuple[str, ...]]:
    """Read the options of one application, and every problem with them. Files are looked at before each run."""
    problems: list[str] = []
    table = Table(content, path, problems)
    if ("command" in content) == ("directory" in content):
        table.problem("", _("must have either command or directory"))
    command = table.texts("command") if "command" in content else ()
    options = Options(command, table.optional_path("directory"), table.seconds("timeout_s", Options.timeout_s))
    if command and not Path(command[0]).is_absolute():
        table.problem("command", _("must begin with an absolute path, not {path!r}", path=command[0]))
    table.close()
    return options, tuple(problems)


def find(name: str, options: Options) -> tuple[Script, ...]:
    """List the scripts of an application in the order in which they run. Raises Refused."""
    if options.directory is None:
        return (Script(Path(options.command[0]).name, options.command),)
    try:
        files = sorted(file for file in options.directory.iterdir() if file.is_file() and os.access(str(file), os.X_OK))
    except OSError as error:
        raise Refused("application_unreachable", f"{name}: {options.directory} cannot be read: {error}") from error
    odd = [file.name for file in files if not _NAME.fullmatch(file.name)]
    if odd:
        what = f"{odd[0]} is executable, but only names of letters, digits, - and _ are run; rename it or run chmod -x"
        raise Refused("application_unreachable", f"{name}: {options.directory}: {what}")
    if not files:
        raise Refused("application_unreachable", f"{name}: {options.directory} has no executable")
    return tuple(Script(file.name, (str(file),)) for file in files)


class Caller:
    """Calls the scripts of one application."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._timeout_s = options.timeout_s

    def timeout(self, at_most_s: float = float("inf")) -> Left:
        """Start to count the time that one call may take."""
        ends_s = time.monotonic() + min(self._timeout_s, at_most_s)
        return lambda: ends_s - time.monotonic()

    def run(self, script: Script, word: str, left_s: Left, budget: Optional[Budget] = None) -> Done:
        """Run a script with one more argument to its end with status 0. Raises Refused."""
        self.insist_on_owner(script)
        try:
            done = run((*script.argv, word), environment(self.name, budget), left_s)
        except ScriptError as error:
            raise self.refused(script, word, error, budget) from error
        if done.status:
            code = "blocked" if done.status == IN_THE_WAY else "application_unreachable"
            raise Refused(code, f"{self.name}: {script.name} {word} ended with status {done.status}{done.complaint}")
        return done

    def insist_on_owner(self, script: Script) -> None:
        """See that nobody but root and this user could have changed a script. Raises Refused."""
        problem = program_problem(Path(script.argv[0]))
        if problem:
            raise Refused("application_unreachable", f"{self.name}: {script.argv[0]} is not run: {problem}")

    def refused(self, script: Script, word: str, error: Exception, budget: Optional[Budget] = None) -> Refused:
        """Say in the protocol's words why a hold cannot be had."""
        late = isinstance(error, ScriptTimeout) and budget is not None and budget.acquire_left_s() <= 0
        code = "acquire_timeout" if late else "application_unreachable"
        return Refused(code, f"{self.name}: {script.name} {word}: {error}")


def environment(name: str, budget: Optional[Budget]) -> Mapping[str, str]:
    """Build all that a script finds in its environment (docs/scripts.md)."""
    known = {"PATH": _PATH, "LANG": "C.UTF-8", "QUIESCED_APPLICATION": name}
    if budget:
        known["QUIESCED_ACQUIRE_LIMIT_S"] = f"{budget.acquire_left_s():.3f}"
        known["QUIESCED_HOLD_LIMIT_S"] = f"{budget.hold_limit_s:.3f}"
    return known


def named(scripts: Sequence[Script], names: object) -> tuple[Script, ...]:
    """Choose those scripts that are named; a name that no script has any more is left out."""
    wanted = names if isinstance(names, list) else []
    return tuple(script for script in scripts if script.name in wanted)
