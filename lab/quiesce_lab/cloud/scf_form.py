"""What SCF takes for a function's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from quiesce_lab.cloud.errors import ApiError

SETTINGS = (
    "Description",
    "MemorySize",
    "Timeout",
    "InitTimeout",
    "Environment",
    "VpcConfig",
    "PublicNetConfig",
    "Role",
    "ClsLogsetId",
    "ClsTopicId",
)
"""Settings that the lab has: CreateFunction makes them, UpdateFunctionConfiguration changes them."""
DEFAULTS: Mapping[str, Any] = {
    "Description": "",
    "MemorySize": 128,
    "Timeout": 3,
    "InitTimeout": 65,
    "Environment": {"Variables": []},
    "VpcConfig": {"VpcId": "", "SubnetId": ""},
    "PublicNetConfig": {"PublicNetStatus": "ENABLE"},
    "Role": "",
    "ClsLogsetId": "",
    "ClsTopicId": "",
}
RUNTIMES = ("Python2.7", "Python3.6", "Python3.7", "Python3.9", "Python3.10")
MAX_ENVIRONMENT_BYTES = 4096
_VARIABLE = re.compile(r"[A-Za-z]\w*", re.ASCII)
_RESERVED = ("SCF_", "QCLOUD_", "TENCENTCLOUD_")
_DESCRIPTION = re.compile(r"[A-Za-z0-9 ,.\n一-鿿]{0,1000}")
"""SDK, CreateFunctionRequest.Description: letters, digits, spaces, commas, line breaks, full stops, and Chinese."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check every setting of a function. Raises ApiError with the platform's code for the first that is wrong."""
    if not _DESCRIPTION.fullmatch(settings["Description"]):
        raise ApiError("InvalidParameterValue.Description", "`Description` has a character that is not allowed.")
    memory = settings["MemorySize"]
    if memory != 64 and (memory % 128 or not 128 <= memory <= 3072):
        raise ApiError("InvalidParameterValue.MemorySize", "`MemorySize` is 64, or a multiple of 128 up to 3072.")
    if not 1 <= settings["Timeout"] <= 900:
        raise ApiError("LimitExceeded.Timeout", "`Timeout` is from 1 to 900 seconds.")
    if not 3 <= settings["InitTimeout"] <= 300:
        raise ApiError("LimitExceeded.InitTimeout", "`InitTimeout` is from 3 to 300 seconds.")
    if settings["PublicNetConfig"].get("PublicNetStatus") not in ("ENABLE", "DISABLE"):
        raise ApiError("InvalidParameterValue.PublicNetConfig", "`PublicNetStatus` is ENABLE or DISABLE.")
    if bool(settings["ClsLogsetId"]) != bool(settings["ClsTopicId"]):
        raise ApiError("InvalidParameterValue.Cls", "`ClsLogsetId` and `ClsTopicId` go together.")
    vpc = settings["VpcConfig"]
    if bool(vpc.get("VpcId")) != bool(vpc.get("SubnetId")):
        raise ApiError("InvalidParameterValue.Vpc", "`VpcId` and `SubnetId` go together.")
    _check_environment(settings["Environment"].get("Variables") or [])


def check_runtime(runtime: str) -> None:
    """Check the runtime of a new function. Raises ApiError."""
    if runtime not in RUNTIMES:
        raise ApiError("InvalidParameterValue.Runtime", f"There is no runtime `{runtime}`.")


def _check_environment(variables: Sequence[Mapping[str, str]]) -> None:
    names = [one.get("Key", "") for one in variables]
    for one in variables:
        name, value = one.get("Key", ""), one.get("Value", "")
        if not _VARIABLE.fullmatch(name) or not value:
            raise ApiError("InvalidParameterValue.Environment", "A variable needs a name of letters, and a value.")
        if name.startswith(_RESERVED):
            raise ApiError("InvalidParameterValue.EnvironmentSystemProtect", f"The variable `{name}` is the platform's.")
    if len(set(names)) != len(names):
        raise ApiError("InvalidParameterValue.Environment", "A variable is given twice.")
    if sum(len(one["Key"]) + len(one["Value"].encode()) for one in variables) >= MAX_ENVIRONMENT_BYTES:
        raise ApiError("InvalidParameterValue.EnvironmentExceededLimit", "The environment is larger than 4 KB.")
