"""What commands that ask the cloud have in common: tccli's options, and the key that they find."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from quiesce import credentials
from quiesce.commands.exits import Exit
from quiesce.credentials import Found
from quiesce.errors import CloudError, PolicyError, QuiesceError, RequestError, SettingsError
from quiesce.words import _

F = TypeVar("F", bound=Callable[..., Any])

policies_option = click.option(
    "--policies",
    "file",
    type=click.Path(path_type=Path),
    default="policies.toml",
    show_default=True,
    envvar="QUIESCE_POLICIES",
    help="The policy file.",
)
output_option = click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)


@dataclass(frozen=True)
class Given:
    """The options of one call, with the environment that they make."""

    found: Found
    env: Mapping[str, str]


def connected(command: F) -> F:
    """Give a command tccli's options; it is called with ``given``, or not at all where there is no key."""

    @click.option("--region", default=None, help="The region of the disks, like ap-guangzhou.")
    @click.option(
        "--profile", default=None, help="A profile of tccli, from ~/.tccli; otherwise the environment comes first."
    )
    @click.option("--endpoint", default=None, help="Host of the API, where it is not the public one.")
    @click.option("--timeout", type=click.FloatRange(0.5, 30), default=None, help="Seconds that one call may take.")
    @functools.wraps(command)
    def wrapped(
        *args: Any, region: str | None, profile: str | None, endpoint: str | None, timeout: float | None, **kwargs: Any
    ) -> Any:
        with failing_in_words():
            found = credentials.find(os.environ, Path.home(), profile=profile, region=region)
            named = {
                "QUIESCE_CLOUD_ENDPOINT": endpoint,
                "QUIESCE_API_TIMEOUT_S": None if timeout is None else f"{timeout:g}",
            }
            env = {**credentials.as_environment(found, os.environ), **{key: text for key, text in named.items() if text}}
            return command(*args, given=Given(found, env), **kwargs)

    return wrapped  # type: ignore[return-value]  # the same command with more options


class failing_in_words:  # noqa: N801 - used like contextlib.suppress
    """Ends the command with the status that an error has, and its words on standard error."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate what was raised on purpose; anything else is a defect, and shows its trace."""
        if isinstance(error, QuiesceError):
            give_up(error)
        if isinstance(error, OSError):  # a file of the caller's: what the network raises is a CloudError by now
            click.echo(str(error), err=True)
            sys.exit(Exit.UNUSABLE)


def give_up(error: QuiesceError) -> NoReturn:
    """Say what was wrong and end."""
    status = Exit.REFUSED if isinstance(error, CloudError | RequestError) else Exit.UNUSABLE
    lines = error.problems if isinstance(error, PolicyError) else (str(error),)
    for line in lines:
        click.echo(line, err=True)
    if isinstance(error, SettingsError | CloudError):
        click.echo(_("`quiesce doctor` says which key is used, and what it may do"), err=True)
    sys.exit(status)
