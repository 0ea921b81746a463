"""DescribeInstances of CVM."""

from __future__ import annotations

from collections.abc import Collection

from quiesce_lab.cloud import filters
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.model import Instance
from quiesce_lab.cloud.views import instance_view

_RULES = filters.Rules(
    ids="InstanceIds",
    names=frozenset(
        [
            "zone",
            "project-id",
            "host-id",
            "dedicated-cluster-id",
            "vpc-id",
            "subnet-id",
            "instance-id",
            "uuid",
            "security-group-id",
            "instance-name",
            "instance-charge-type",
            "instance-state",
            "private-ip-address",
            "public-ip-address",
            "ipv6-address",
            "tag-key",
            "tag-value",
            "creation-start-time",
            "creation-end-time",
        ]
    ),
    tags=True,
    max_filters=10,
    max_values=5,
)


def describe_instances(context: Context) -> Answer:
    """List instances by id or by filters, at most 10 filters of 5 values (SDK)."""
    selected = filters.select(context.body, _RULES)
    with context.world.lock:
        estate = context.estate
        instances = [one for one in estate.instances.values() if filters.fits(selected, _properties(one))]
        instances.sort(key=lambda instance: instance.created_s, reverse=True)
        views = [instance_view(one, estate) for one in filters.page(instances, context.body)]
    return {"TotalCount": len(instances), "InstanceSet": views}


def _properties(instance: Instance) -> dict[str, Collection[str]]:
    return {
        "": (instance.instance_id,),
        "instance-id": (instance.instance_id,),
        "instance-name": (instance.name,),
        "instance-state": (instance.state,),
        "instance-charge-type": ("POSTPAID_BY_HOUR",),
        "private-ip-address": (instance.private_ip,),
        "project-id": ("0",),
        "uuid": (instance.uuid,),
        "vpc-id": ("vpc-lab00000",),
        "subnet-id": ("subnet-lab00000",),
        "zone": (instance.zone,),
        **filters.tag_properties(instance.tags),
    }
