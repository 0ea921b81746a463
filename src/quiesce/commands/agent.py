"""``quiesce agent``: put quiesced on instances through TAT, and see where it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quiesce.adapters.cvm import find_instances
from quiesce.adapters.tencent import Cloud
from quiesce.commands.connection import Given, connected, output_option
from quiesce.commands.exits import Exit
from quiesce.commands.output import show
from quiesce.deployment import install as installing
from quiesce.deployment import status as looking
from quiesce.deployment.keys import open_keys
from quiesce.deployment.tat import Tat
from quiesce.errors import DeploymentError
from quiesce.policies import TagSelector, Targets
from quiesce.settings import cloud_from_env
from quiesce.words import _

if TYPE_CHECKING:
    from quiesce.plan import Instance

SEEN = ("instance_id", "outcome", "program", "service", "certificate_ends", "keys", "detail")
_FILE = click.Path(path_type=Path)
_TAGS = click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Instances with this tag; may be repeated.")
_IDS = click.option("--instance", "ids", multiple=True, metavar="ID", help="This instance; may be repeated.")
_ROOT = click.option("--root", default="", help="Stage below this directory, as install.sh --root does.")
_ARCHIVE = click.option(
    "--archive", type=_FILE, default="build/quiesced.pyz", show_default=True, help="Made by `make package`."
)


@click.group()
def agent() -> None:
    """The daemon on the instances."""


@agent.command()
@_TAGS
@_IDS
@click.option("--keys", type=_FILE, default="quiesce-keys", show_default=True, help="Directory of keys; made if missing.")
@_ARCHIVE
@click.option("--hooks", type=_FILE, default="hooks", show_default=True, help="Where install.sh lies.")
@click.option("--bundle-url", default="", help="Where instances fetch the bundle, in place of TAT carrying it.")
@click.option("--write-bundle", type=_FILE, default=None, help="Write the bundle to this file, for --bundle-url, and stop.")
@click.option("--start", is_flag=True, help="Start the service, also where it never ran.")
@_ROOT
@click.option("--dry-run", is_flag=True, help="Say on which instances it would be installed, and do nothing.")
@output_option
@connected
def install(
    tags: tuple[str, ...],
    ids: tuple[str, ...],
    keys: Path,
    archive: Path,
    hooks: Path,
    bundle_url: str,
    write_bundle: Path | None,
    start: bool,
    root: str,
    dry_run: bool,
    output: str,
    given: Given,
) -> None:
    """Install quiesced, or renew its program and certificate; what an instance's owner configured stays.

    Exit status: 0 it is on every instance, 1 not on all, 4 keys or program cannot be used, 5 the cloud refused.
    """
    bundle = installing.read_bundle(archive, hooks)
    if write_bundle:
        write_bundle.write_bytes(bundle.content)
        return
    cloud = Cloud(cloud_from_env(given.env))
    instances, tat = _instances(cloud, tags, ids), Tat(cloud, _progress)
    if dry_run:
        rows = _dry(instances, installing.sort_out(tat, instances))
    else:
        now = datetime.now(timezone.utc)
        wish = installing.Wish(open_keys(keys, now), bundle, now, root, bundle_url, start)
        rows = [vars(one) for one in installing.install(tat, instances, wish)]
    rows += _unknown(ids, instances)
    show("agents", rows, output, ("instance_id", "address", "outcome", "detail"))
    sys.exit(Exit.OK if all(row["outcome"] in ("installed", "would be installed") for row in rows) else Exit.NOT_WELL)


@agent.command()
@_TAGS
@_IDS
@_ARCHIVE
@_ROOT
@output_option
@connected
def status(tags: tuple[str, ...], ids: tuple[str, ...], archive: Path, root: str, output: str, given: Given) -> None:
    """Show what there is of quiesced on instances; changes nothing.

    Exit status: 0 it is well on every instance, 1 not on all, 4 a setting cannot be used, 5 the cloud refused.
    """
    cloud = Cloud(cloud_from_env(given.env))
    instances, tat = _instances(cloud, tags, ids), Tat(cloud, _progress)
    found = looking.look(tat, instances, archive, root, datetime.now(timezone.utc))
    rows: list[Mapping[str, Any]] = [*(vars(one) for one in found), *_unknown(ids, instances)]
    show("agent-status", rows, output, SEEN)
    sys.exit(Exit.OK if all(row["outcome"] == "well" for row in rows) else Exit.NOT_WELL)


def _instances(cloud: Cloud, tags: tuple[str, ...], ids: tuple[str, ...]) -> tuple[Instance, ...]:
    """Find the instances that are named and those that carry one of the tags."""
    if not tags and not ids:
        raise DeploymentError(_("name instances: --tag KEY=VALUE, --instance ID, or both"))
    found: dict[str, Instance] = {}
    for tag in tags:
        key, equals, value = tag.partition("=")
        if not key or not equals or not value:
            raise DeploymentError(_("--tag {tag}: write KEY=VALUE", tag=tag))
        chosen = find_instances(cloud, Targets(tag=TagSelector(key, (value,))))
        found |= {one.instance_id: one for one in chosen}
    if ids:
        found |= {one.instance_id: one for one in find_instances(cloud, Targets(instances=ids))}
    return tuple(found.values())


def _dry(instances: Sequence[Instance], reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "instance_id": one.instance_id,
            "address": one.address,
            "outcome": "skipped" if one.instance_id in reasons else "would be installed",
            "detail": reasons.get(one.instance_id, ""),
        }
        for one in instances
    ]


def _unknown(ids: tuple[str, ...], instances: Sequence[Instance]) -> list[dict[str, Any]]:
    there = {one.instance_id for one in instances}
    missing = [one for one in ids if one not in there]
    rows = [{"instance_id": one, "outcome": "failed", "detail": "there is no such instance here"} for one in missing]
    if not there and not missing:
        click.echo(_("no instance carries the tag"), err=True)
        sys.exit(Exit.NOT_WELL)
    return rows


def _progress(title: str, done: int, total: int) -> None:
    click.echo(f"{done * 100 // total:3} %  {title}", err=True)
