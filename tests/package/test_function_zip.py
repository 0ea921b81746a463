"""The zip that SCF gets: what is in it, and that it runs on the Python of SCF with nothing beside it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from scripts import package_function
from scripts.package_wheels import PackagingError

from tests.deployment.manifests import SERVERLESS
from tests.package.interpreters import python_or_skip, run_bare

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
for root in ("quiesce", "tencentcloud", "requests", "stamina", "msgspec"):
    package = importlib.import_module(root)
    assert package.__file__.startswith(sys.argv[1]), package.__file__
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        # The SDK's asynchronous half needs httpx, which the function neither uses nor ships.
        if root in ("quiesce", "tencentcloud") and not module.name.endswith("_async"):
            importlib.import_module(module.name)
"""

CALL_WITH_NONSENSE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import index
print(json.dumps(index.main_handler({"no such": "event"}, {"request_id": "r-1", "time_limit_in_ms": 300000})))
"""


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def variables_as_deployed(ca: Path) -> dict[str, str]:
    """What SCF sets, and what serverless.yml sets with every ``${env:...}`` filled in."""
    deployed = SERVERLESS["inputs"]["environment"]["variables"]
    filled = {name: re.sub(r"\$\{env:\w+\}", "k1:0123456789abcdef", value) for name, value in deployed.items()}
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    role = {"TENCENTCLOUD_SECRETID": "id", "TENCENTCLOUD_SECRETKEY": "key", "TENCENTCLOUD_SESSIONTOKEN": "token"}
    return {**role, "TENCENTCLOUD_REGION": "ap-guangzhou", **filled, "QUIESCE_HOOK_CA": str(ca)}


def call_with_nonsense(unpacked: Path, variables: dict[str, str] | None = None) -> str:
    python = python_or_skip("3.10")
    command = [python, "-I", "-S", "-B", "-c", CALL_WITH_NONSENSE, str(unpacked)]
    done = run_bare(*command, variables=variables)
    return done.stdout + done.stderr


def test_an_unknown_event_is_refused_as_such_by_the_unpacked_zip_alone(unpacked_function: Path, tmp_path: Path) -> None:
    told = call_with_nonsense(unpacked_function, variables_as_deployed(tmp_path / "ca.pem"))
    assert "RequestError" in told
    assert "SettingsError" not in told


def test_without_its_settings_the_unpacked_zip_names_every_one_that_is_missing(unpacked_function: Path) -> None:
    told = call_with_nonsense(unpacked_function)
    assert "SettingsError" in told
    required = ["QUIESCE_HOOK_KEY", "QUIESCE_HOOK_CA", "QUIESCE_CERTIFICATE_KEY", "TENCENTCLOUD_SECRETID"]
    assert [name for name in required if name not in told] == []


def test_every_module_imports_from_the_unpacked_zip_alone(unpacked_function: Path) -> None:
    python = python_or_skip("3.10")
    done = run_bare(python, "-I", "-S", "-B", "-c", IMPORT_ALL, str(unpacked_function))
    assert done.returncode == 0, done.stderr


def test_the_unpacked_zip_alone_speaks_the_language_that_is_asked_for(unpacked_function: Path, tmp_path: Path) -> None:
    variables = variables_as_deployed(tmp_path / "ca.pem")
    told = call_with_nonsense(unpacked_function, {**variables, "QUIESCE_LANGUAGE": "zh_CN"})
    assert "RequestError" in told
    assert re.search(r"[\u4e00-\u9fff]{4}", told)


def test_the_entry_and_the_policies_lie_at_the_root_of_the_zip(function_zip: Path) -> None:
    assert {"index.py", "policies.toml", "quiesce/__init__.py", "quiesce/html_report/template.html.j2"} <= set(
        names(function_zip)
    )


def test_the_zip_is_small_enough_to_upload_without_a_bucket(function_zip: Path) -> None:
    assert function_zip.stat().st_size < 4_000_000


def test_the_zip_holds_no_tests_no_secrets_and_no_build_tools(function_zip: Path) -> None:
    unwanted = re.compile(
        r"(^|/)(tests?|bin|pip|setuptools|pkg_resources|quiesced|quiesce_lab)(/|$)"
        r"|(^|/)\.|\.(pem|key|crt|env|lock|pth)$|/(RECORD|INSTALLER|direct_url\.json)$"
    )
    found = [name for name in names(function_zip) if unwanted.search(name)]
    # The public authorities that TLS trusts, and the operator's own (which the build has looked into).
    assert [name for name in found if name != "certifi/cacert.pem" and not re.fullmatch(r"[^/]+\.pem", name)] == []


def test_of_the_sdk_exactly_what_the_function_imports_is_in_the_zip(function_zip: Path, unpacked_function: Path) -> None:
    programs = [unpacked_function / name for name in ("quiesce", "tencentserverless")]
    sources = "\n".join(path.read_text() for program in programs for path in program.rglob("*.py"))
    imported = set(re.findall(r"(?:from|import) tencentcloud\.(\w+)", sources))
    parts = [name.split("/") for name in names(function_zip) if name.startswith("tencentcloud/")]
    products = {part[1] for part in parts if len(part) > 2} - {"__pycache__"}
    assert products == imported


NAMES_ITS_LICENCE = "tencentserverless-0.1.7.dist-info"
"""Published without its text."""


def test_every_distribution_in_the_zip_brings_its_licence(function_zip: Path, unpacked_function: Path) -> None:
    inside = names(function_zip)
    distributions = {name.split("/")[0] for name in inside if ".dist-info/" in name}
    licensed = {name.split("/")[0] for name in inside if re.search(r"\.dist-info/.*(LICEN[CS]E|COPYING)", name, re.I)}
    assert distributions
    assert distributions - licensed == {NAMES_ITS_LICENCE}
    assert "License: Apache License 2.0" in (unpacked_function / NAMES_ITS_LICENCE / "METADATA").read_text()


def test_every_module_in_the_zip_has_bytecode_that_is_never_checked_against_its_source(function_zip: Path) -> None:
    python_or_skip("3.10")
    inside = set(names(function_zip))
    sources = [name for name in inside if name.endswith(".py")]
    compiled = [re.sub(r"([^/]+)\.py$", r"__pycache__/\1.cpython-310.pyc", name) for name in sources]
    assert [name for name in compiled if name not in inside] == []
    with zipfile.ZipFile(function_zip) as archive:
        flags = {archive.read(name)[4:8] for name in compiled}
    assert flags == {b"\x01\x00\x00\x00"}  # PEP 552: by hash, unchecked


def test_files_in_the_zip_are_readable_by_the_user_that_scf_runs_as(function_zip: Path) -> None:
    with zipfile.ZipFile(function_zip) as archive:
        modes = {(entry.is_dir(), entry.external_attr >> 16 & 0o777) for entry in archive.infolist()}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_two_builds_give_the_same_bytes(function_zip: Path, tmp_path: Path) -> None:
    package_function.build(tmp_path / "elsewhere" / "function", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == function_zip.read_bytes()


def test_the_operators_ca_goes_into_the_package(tmp_path: Path) -> None:
    source, tree = tmp_path / "src", tmp_path / "tree"
    source.mkdir()
    tree.mkdir()
    (source / "hook-ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    package_function.copy_authorities(source, tree)
    assert (tree / "hook-ca.pem").read_text() == "-----BEGIN CERTIFICATE-----\n"


def test_a_private_key_among_the_certificates_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "client.pem").write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n")
    with pytest.raises(PackagingError, match=r"client\.pem holds a private key"):
        package_function.copy_authorities(tmp_path, tmp_path / "tree")


def test_a_zip_over_the_limit_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "too-big.zip"
    archive.write_bytes(bytes(11))
    package_function.check_size(archive, limit_bytes=11)
    with pytest.raises(PackagingError, match="11 bytes; SCF takes 10"):
        package_function.check_size(archive, limit_bytes=10)
