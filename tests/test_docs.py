"""The documents against the code: settings, limits, metrics, commands, the map."""

import re
from dataclasses import fields
from pathlib import Path

from typer.testing import CliRunner

from log import __doc__ as package_map
from log.api.metrics import METRICS
from log.settings import NodeSettings
from log.tables import GuardTable, LimitsTable, LogTable, Table, TokenTable, TrustListTable, WitnessedTable
from monitor import settings as settings_of_monitor
from monitor.cli import app as app_of_monitor
from monitor.limits import Limits
from monitor.settings import Settings
from monitor.tables import (
    CommandTable,
    EgressTable,
    ForeignTable,
    GovernanceTable,
    LinesTable,
    MailTable,
    NodeTable,
    PeerTable,
    ServeTable,
    SourceTable,
    WebhookTable,
    WitnessTable,
)
from monitor.tables import LogTable as LogTableOfMonitor
from monitor.tables import TokenTable as TokenTableOfMonitor
from monitor.web.metrics import METRICS as METRICS_OF_MONITOR

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
LOG_README = (CHECKOUT / "log" / "README.md").read_text(encoding="utf-8")
MONITOR_README = (CHECKOUT / "monitor" / "README.md").read_text(encoding="utf-8")


def _rows(section: str, document: str = LOG_README) -> dict[str, str]:
    """Return the first column's code words of a section's tables, each with the whole row."""
    text = document.partition(f"## {section}")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {word: line for line in rows for word in re.findall(r"`([a-z0-9_]+)`", line.split("|")[1])}


def test_every_setting_is_documented_and_no_other() -> None:
    documented = set(_rows("Settings"))
    assert documented == set(NodeSettings.model_fields) - {"limits"} | set(LimitsTable.model_fields)


def test_each_tool_that_is_tried_here_has_its_options_told_and_no_other() -> None:
    text = LOG_README.partition("## Other people's tools")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE))
    built = set(re.findall(r"^build (\S+)", (CHECKOUT / ".ci" / "go-tools").read_text(encoding="utf-8"), re.MULTILINE))
    assert told == built


def test_documented_defaults_are_the_defaults() -> None:
    fields_of = {**NodeSettings.model_fields, **LimitsTable.model_fields}
    for key, row in _rows("Settings").items():
        _, first, second, *_ = row.split("|")
        keys = re.findall(r"`([a-z0-9_]+)`", first)
        words = [word.strip(" `") for word in second.split(",")]
        word = words[keys.index(key)] if len(words) == len(keys) else words[0]
        field = fields_of[key]
        if field.is_required():
            assert word == "–", key
        elif field.default in (None, ()):
            assert word == "none", key
        elif field.default != "":  # what it then is, is said in words
            assert word.lower() == str(field.default).lower(), key


def test_every_setting_is_read_where_the_node_is_put_together() -> None:
    names = ("main", "workshop", "process", "bounds", "files", "keyring", "pinned", "state", "cli/node")
    put_together = "".join((CHECKOUT / "log" / f"{name}.py").read_text(encoding="utf-8") for name in names)
    read = set(re.findall(r"(?<=limits\.|ttings\.|loaded\.)[a-z0-9_]+", put_together))
    assert set(NodeSettings.model_fields) | set(LimitsTable.model_fields) <= read


def test_every_key_of_a_table_is_named_where_the_table_is() -> None:
    rows = _rows("Settings")
    tables: dict[str, type[Table]] = {
        "logs": LogTable,
        "witnessed": WitnessedTable,
        "guards": GuardTable,
        "trustlists": TrustListTable,
        "tokens": TokenTable,
    }
    for name, table in tables.items():
        for key in table.model_fields:
            assert f"`{key}`" in rows[name], (name, key)


def test_every_metric_is_documented_and_no_other() -> None:
    for document, metrics in ((LOG_README, METRICS), (MONITOR_README, METRICS_OF_MONITOR)):
        documented = set(_rows("Health and metrics", document))
        assert documented == set(metrics)
        assert all(re.fullmatch(r"twinlog_[a-z0-9_]+_(total|seconds|bytes)", name) for name in documented)


def test_the_two_lines_of_the_readme_stand_as_the_contract_has_them() -> None:
    assert "- `Run it`: `python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/twinlog demo`\n" in README
    assert (
        "- `Test it`: `python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest`\n" in README
    )


def test_the_map_names_every_module_in_layer_order() -> None:
    package = CHECKOUT / "log"
    modules = {entry.stem for entry in package.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists()}
    named = re.findall(r"^    ([a-z]+)  ", package_map or "", re.MULTILINE)
    assert set(named) == modules - {"__init__", "__main__"}
    assert len(named) == len(set(named))


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in (CHECKOUT / "README.md", CHECKOUT / "log" / "README.md", CHECKOUT / "tests" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_setting_of_the_monitor_is_documented_with_its_default() -> None:
    rows = _rows("Settings", MONITOR_README)
    bounds = {field.name: field.default for field in fields(Limits)}
    assert set(rows) == set(Settings.model_fields) - {"limits"} | set(bounds)
    for key, default in bounds.items():
        assert str(default) in rows[key].split("|")[2], key
    for table in (NodeTable, WitnessTable, LogTableOfMonitor):
        for key in table.model_fields:
            assert f"`{key}`" in rows["nodes"], key
    for key in GovernanceTable.model_fields:
        assert f"`{key}`" in rows["governance"], key
    for key in PeerTable.model_fields:
        assert f"`{key}`" in rows["peers"], key
    for key in EgressTable.model_fields:
        assert f"`{key}`" in rows["egresses"], key
    for key in SourceTable.model_fields:
        assert f"`{key}`" in rows["sources"], key
    for key in ServeTable.model_fields:
        assert f"`{key}`" in rows["serve"], key
    for key in TokenTableOfMonitor.model_fields:
        assert f"`{key}`" in rows["tokens"], key
    for key in ForeignTable.model_fields:
        assert f"`{key}`" in rows["logs"], key
    for channel in (WebhookTable, MailTable, CommandTable, LinesTable):
        for key in channel.model_fields:
            assert f"`{key}`" in rows["channels"], key


def test_the_example_settings_of_the_readme_are_settings(tmp_path: Path) -> None:
    block = README.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "twinlog.toml").write_text(block, encoding="utf-8")
    loaded = NodeSettings.load(tmp_path / "twinlog.toml")
    assert (loaded.node, loaded.logs[0].name, loaded.guards) == ("HK", "x509", ())


def test_the_example_settings_of_the_monitors_readme_are_settings(tmp_path: Path) -> None:
    block = MONITOR_README.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "monitor.toml").write_text(block, encoding="utf-8")
    loaded = settings_of_monitor.load(tmp_path / "monitor.toml")
    assert loaded.governance is not None
    assert (loaded.near, loaded.page.open, loaded.channels[0].name) == (["HK", "GD"], True, "lines")


def test_the_commands_of_the_monitors_readme_are_commands() -> None:
    named = re.findall(r"^\$ twinlog-monitor ([a-z ]+?) --", MONITOR_README, re.MULTILINE)
    assert named == ["init", "run", "status", "alerts list", "evidence list"]
    for words in named:
        assert CliRunner().invoke(app_of_monitor, [*words.split(), "--help"]).exit_code == 0, words
