"""The operator's command ``quiesce``. Where each of its commands is; exit statuses: commands/exits."""

from __future__ import annotations

import sys

import click

from quiesce import __version__
from quiesce.commands.exits import Exit
from quiesce.commands.lazy import LazyGroup

PLACES = {
    "agent": ("quiesce.commands.agent:agent", "Install the daemon on instances, and look after it."),
    "certificate": ("quiesce.commands.certificate:certificate", "Check what snapshots were proven to be."),
    "completion": ("quiesce.commands.completion:completion", "Print what makes a shell complete commands."),
    "coverage": ("quiesce.commands.estate:coverage", "Show every disk with its newest point."),
    "deploy": ("quiesce.commands.deploy:deploy", "Create or update the function on Tencent Cloud."),
    "doctor": ("quiesce.commands.doctor:doctor", "Find out whether a run could begin, and what to do if not."),
    "list": ("quiesce.commands.sets:list_sets", "List the sets of snapshots."),
    "logs": ("quiesce.commands.logs:logs", "Show what a run wrote, step by step."),
    "plan": ("quiesce.commands.runs:plan", "Show what a run would do, and do nothing."),
    "policy": ("quiesce.commands.policy:policy", "Check the policy file."),
    "prune": ("quiesce.commands.estate:prune", "Delete what the policies' retention lets go."),
    "report": ("quiesce.commands.report:report", "Write what is protected, what waited and what failed as HTML."),
    "restore": ("quiesce.commands.restore:restore", "Write down how to get a set back."),
    "run": ("quiesce.commands.runs:run", "Run a policy from here, by the function's own procedure."),
    "show": ("quiesce.commands.sets:show", 'Show what a run made; "latest" is a name, too.'),
    "trigger": ("quiesce.commands.trigger:trigger", "Start a run of the deployed function."),
    "wait": ("quiesce.commands.sets:wait", "Wait until the snapshots of a run are complete."),
}


@click.group(cls=LazyGroup, places=PLACES)
@click.version_option(__version__, prog_name="quiesce")
def main() -> None:
    """Application-consistent snapshots of Tencent Cloud disks, with proof."""


def run() -> None:
    """Run the command and end with its status; interrupted from the keyboard that is 130, as shells have it."""
    try:
        status = main(prog_name="quiesce", standalone_mode=False)
    except click.Abort:
        click.echo(err=True)
        sys.exit(Exit.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(status if isinstance(status, int) else Exit.OK)
