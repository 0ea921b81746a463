"""docs/reference/ is what the code says, all of it, and as it is now."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from scripts import code_reading, reference, reference_agent, reference_policy, reference_settings
from scripts.code_reading import MissingMeaning

from quiesce import policies
from quiesced.quiescers import registry


@pytest.mark.parametrize("name", reference.DOCUMENTS)
def test_a_page_is_what_the_code_says_now(name: str) -> None:
    page = reference.HOME / name
    assert page.read_text(encoding="utf-8") == reference.DOCUMENTS[name](), "run python -m scripts.reference"


def test_there_is_no_page_that_nothing_writes() -> None:
    assert {path.name for path in reference.HOME.glob("*.md")} == set(reference.DOCUMENTS)


def test_every_engine_of_the_daemon_has_its_keys_listed() -> None:
    assert set(reference_agent.ENGINES) == set(registry.ENGINES)
    text = reference_agent.document()
    assert [engine for engine in registry.ENGINES if f'### `engine = "{engine}"`' not in text] == []


def test_every_way_of_reading_a_key_is_known() -> None:
    assert set(reference_agent.KINDS) == reference_agent.kinds_of_the_reader()


def test_every_key_of_the_example_file_is_listed() -> None:
    lines = (Path(__file__).parents[2] / "hooks" / "quiesced.example.toml").read_text().splitlines()
    settings = [line.lstrip("#") for line in lines if " = " in line and not line.startswith(("# ", '"'))]
    keys = {setting.split(" = ")[0] for setting in settings}
    assert len(keys) > 20
    text = reference_agent.document()
    assert [key for key in sorted(keys) if f"| `{key}` |" not in text] == []


def test_every_table_of_a_policy_is_listed() -> None:
    tables = {kind for kind in vars(policies).values() if isinstance(kind, type) and issubclass(kind, policies.Table)}
    assert set(reference_policy.PLACES) == tables - {policies.Table}


def module_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> ModuleType:
    (tmp_path / "a_module_of_the_test.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "a_module_of_the_test", raising=False)
    return __import__("a_module_of_the_test")


SETTINGS = """
class Settings:
    port: int
    {below}

def read(reader) -> Settings:
    return Settings(port=int(reader.number("PORT", LOW + 1, low=LOW)))

LOW = 7
"""


def test_a_setting_is_found_with_its_meaning_its_default_and_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of(tmp_path, monkeypatch, SETTINGS.format(below='"""Where it\n    listens."""'))
    (found,) = code_reading.readings(module, ["number"])
    assert (found.name, found.values, found.options) == ("PORT", (8,), {"low": 7})
    assert code_reading.meaning_of(code_reading.attribute_docs(module), found.owner, found.attribute) == "Where it listens."


def test_a_setting_that_says_nothing_of_itself_stops_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(tmp_path, monkeypatch, SETTINGS.format(below="pass"))
    (found,) = code_reading.readings(module, ["number"])
    with pytest.raises(MissingMeaning, match=r"Settings\.port"):
        code_reading.meaning_of(code_reading.attribute_docs(module), found.owner, found.attribute)


def test_what_is_secret_is_marked() -> None:
    rows = [line for line in reference_settings.document().splitlines() if line.endswith("| yes |")]
    assert {row.split("`")[1] for row in rows} == {
        "QUIESCE_CERTIFICATE_KEY",
        "QUIESCE_HOOK_KEY",
        "QUIESCE_HTTP_KEY",
        "QUIESCE_NOTIFY_KEY",
        "QUIESCE_NOTIFY_URLS",
        "TENCENTCLOUD_SECRETKEY",
        "TENCENTCLOUD_SESSIONTOKEN",
    }
