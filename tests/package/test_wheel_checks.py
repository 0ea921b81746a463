"""A wheel that would not load where it is sent stops the build."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import package_wheels
from scripts.package_daemon import INSTANCES
from scripts.package_function import SCF
from scripts.package_wheels import Home


def make_distribution(target: Path, *, tag: str, requires: str | None = ">=3.8") -> None:
    dist_info = target / "thing-1.0.dist-info"
    dist_info.mkdir(parents=True)
    wanted = f"Requires-Python: {requires}\n" if requires else ""
    (dist_info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n{wanted}")
    (dist_info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")


@pytest.mark.parametrize(
    ("home", "tag"),
    [
        pytest.param(SCF, "py3-none-any", id="pure Python in the function"),
        pytest.param(SCF, "cp310-cp310-manylinux_2_17_x86_64", id="glibc 2.17 in the function"),
        pytest.param(SCF, "cp310-cp310-manylinux2014_x86_64", id="the old name of glibc 2.17"),
        pytest.param(SCF, "cp39-abi3-manylinux2014_x86_64", id="stable ABI in the function"),
        pytest.param(INSTANCES, "py2.py3-none-any", id="pure Python on instances"),
    ],
)
def test_a_wheel_that_loads_is_accepted(tmp_path: Path, home: Home, tag: str) -> None:
    make_distribution(tmp_path, tag=tag)
    assert package_wheels.check(tmp_path, home) == []


@pytest.mark.parametrize(
    ("home", "tag"),
    [
        pytest.param(SCF, "cp310-cp310-manylinux_2_28_x86_64", id="too new a glibc"),
        pytest.param(SCF, "cp311-cp311-manylinux2014_x86_64", id="another Python"),
        pytest.param(SCF, "cp310-cp310-manylinux2014_aarch64", id="another processor"),
        pytest.param(SCF, "cp310-cp310-linux_x86_64", id="built on this machine"),
        pytest.param(INSTANCES, "cp39-cp39-manylinux2014_x86_64", id="compiled, on instances"),
    ],
)
def test_a_wheel_that_would_not_load_is_refused(tmp_path: Path, home: Home, tag: str) -> None:
    make_distribution(tmp_path, tag=tag)
    assert package_wheels.check(tmp_path, home) == [f"thing 1.0 is a wheel for {tag}"]


@pytest.mark.parametrize(
    ("home", "requires", "meets"),
    [
        pytest.param(SCF, ">=3.11", "3.10", id="too new for the function"),
        pytest.param(INSTANCES, ">=3.10", "3.9", id="too new for the oldest instance"),
        pytest.param(INSTANCES, "<3.13", "3.13", id="too old for the newest instance"),
    ],
)
def test_a_distribution_for_another_python_is_refused(tmp_path: Path, home: Home, requires: str, meets: str) -> None:
    make_distribution(tmp_path, tag="py3-none-any", requires=requires)
    assert package_wheels.check(tmp_path, home) == [f"thing 1.0 wants Python {requires}, and meets {meets}"]


def test_a_distribution_that_states_no_python_is_taken_at_its_wheel(tmp_path: Path) -> None:
    make_distribution(tmp_path, tag="py3-none-any", requires=None)
    assert package_wheels.check(tmp_path, SCF) == []


def test_a_library_that_asks_for_a_newer_glibc_than_its_tag_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fast.so").write_bytes(b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.34\0")
    assert package_wheels.check(tmp_path, SCF) == ["fast.so needs glibc 2.34; the function has 2.17"]


def test_a_compiled_library_is_refused_on_instances_whatever_it_needs(tmp_path: Path) -> None:
    (tmp_path / "fast.so").write_bytes(b"\x7fELF\0GLIBC_2.2.5\0")
    assert package_wheels.check(tmp_path, INSTANCES) == ["fast.so is compiled; only pure Python runs on every instance"]
