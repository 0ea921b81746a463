"""``quiesce deploy``: put the function on SCF, or bring what is there to what the deployment file says."""

from __future__ import annotations

from pathlib import Path

import click

from quiesce.adapters.tencent import Cloud
from quiesce.commands.connection import Given, connected, output_option
from quiesce.commands.output import show
from quiesce.deployment import archive, role
from quiesce.deployment import spec as specs
from quiesce.deployment.carry_out import Comparison, Deployer, Order
from quiesce.deployment.steps import Step
from quiesce.errors import CloudError
from quiesce.settings import cloud_from_env
from quiesce.words import _

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--deployment", type=_FILE, default="deployment.toml", show_default=True, help="What is to be deployed.")
@click.option(
    "--package", type=_FILE, default="build/quiesce-function.zip", show_default=True, help="Made by `make package`."
)
@click.option("--cam-policy", type=_FILE, default="deploy/cam-policy.json", show_default=True, help="Policy of the role.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--secrets-in-environment", is_flag=True, help="Store the secrets as variables that GetFunction shows.")
@click.option("--remove-triggers", is_flag=True, help="Remove timers and URLs that the deployment file does not have.")
@output_option
@connected
def deploy(
    deployment: Path,
    package: Path,
    cam_policy: Path,
    dry_run: bool,
    secrets_in_environment: bool,
    remove_triggers: bool,
    output: str,
    given: Given,
) -> None:
    """Create or update the function, its timers, URL, retries and role.

    Run it again after a failure: it does what is left. Exit status: 0 it is as the file says (or would be), 4 the file, the
    package or a secret cannot be used, 5 the cloud refused.
    """
    try:
        spec = specs.load(deployment)
        code, policy = archive.read(package, spec), role.read_policy(cam_policy, spec)
        order = Order(spec, code, policy, given.env, secrets_in_environment, remove_triggers)
        deployer = Deployer(Cloud(cloud_from_env(given.env)))
        compared = deployer.compare(order, wait=not dry_run)
        _show(compared, output)
        if not dry_run:
            deployer.carry_out(order, compared, _Progress(len(compared.steps)))
    except CloudError:
        click.echo(_("what was done stays, and the next run does what is left"), err=True)
        raise


class _Progress:
    """Says on standard error how far it is."""

    def __init__(self, total: int) -> None:
        self._total = total

    def __call__(self, number: int, step: Step) -> None:
        click.echo(f"{(number - 1) * 100 // self._total:3} %  {step.deed} {step.subject}", err=True)


def _show(compared: Comparison, output: str) -> None:
    for remark in compared.remarks:
        click.echo(remark, err=True)
    rows = [step.row for step in compared.steps]
    if not rows and output != "json":
        click.echo(_("nothing to do"))
        return
    show("deployment", rows, output, ("deed", "subject", "detail"))
