"""What operators are given (`log/operations`): every metric named there is one of ours, and Prometheus takes the rules.

`promtool` comes with Prometheus; without it the last tests are left out.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from log.api.app import COLD
from log.api.edge import HOT
from log.api.exposition import METRICS
from log.sequencer.commit import PHASES

HERE = Path(__file__).resolve().parent
OPERATIONS = HERE.parents[1] / "log" / "operations"
ALERTS = OPERATIONS / "alerts.yml"
DASHBOARD = OPERATIONS / "dashboard.json"
SUFFIXES = ("_bucket", "_sum", "_count")

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool absent")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def named(expression: str) -> set[str]:
    """Return the metrics that an expression names: a histogram's series count as the histogram."""
    words = re.findall(r"twinlog_[a-z0-9_]+", expression)
    histogram = {name for name, each in METRICS.items() if each.family.__name__.startswith("Histogram")}
    bases = {word: re.sub(r"_(bucket|sum|count)$", "", word) for word in words}
    return {base if base in histogram and word.endswith(SUFFIXES) else word for word, base in bases.items()}


def test_every_metric_that_is_named_is_one_of_ours() -> None:
    for expression in expressions():
        assert named(expression) <= set(METRICS), expression
        assert named(expression) or "up{" in expression, expression


def test_labels_that_are_asked_for_are_labels_of_ours() -> None:
    ours = {label for each in METRICS.values() for label in each.labels} | {"instance", "job", "le"}
    for expression in expressions():
        selected = [
            label for inside in re.findall(r"\{([^{}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", inside)
        ]
        grouped = [label for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in by.split(", ")]
        assert {*selected, *grouped} <= ours, expression


def test_routes_and_phases_that_are_named_exist() -> None:
    routes = {route.pattern for route in (*HOT, *COLD)}
    for expression in expressions():
        for exact in re.findall(r'route!?="([^"]+)"', expression):
            assert exact in routes
        for pattern in re.findall(r'route=~"([^"]+)"', expression):
            assert [route for route in routes if re.fullmatch(pattern, route)]
    texts = " ".join(rule["annotations"]["action"] for rule in rules())
    assert {"index", "write", "swap"} <= set(PHASES)
    assert {word for word in ("`index`", "`write`", "`swap`") if word in texts} == {"`index`", "`write`", "`swap`"}


def test_what_an_alert_is_about_is_on_the_dashboard() -> None:
    """A dashboard that lacks what an alert is about sends its reader elsewhere in the worst moment."""
    shown = {name for panel in panels() for target in panel["targets"] for name in named(target["expr"])}
    alerted = {name for rule in rules() for name in named(rule["expr"])}
    assert alerted - shown == set()


def test_every_alert_says_what_is_the_case_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert re.fullmatch(r"Twinlog([A-Z][a-z]+)+", rule["alert"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "action"}
        assert "$labels" in rule["annotations"]["summary"]
        assert len(rule["annotations"]["action"].split()) >= 8


def test_alerts_that_are_named_exist() -> None:
    texts = " ".join(text for rule in rules() for text in rule["annotations"].values())
    tested = (HERE / "alerts_test.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"Twinlog[A-Z]\w+", texts + tested)) <= {rule["alert"] for rule in rules()}


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    board = dashboard()
    assert (board["uid"], board["schemaVersion"] >= 36, board["timezone"]) == ("twinlog-node", True, "utc")
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert named(variables["instance"]["definition"]) <= set(METRICS)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == source
        assert panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        for target in panel["targets"]:
            assert target["datasource"] == source
            assert target["legendFormat"]
            assert "$instance" in target["expr"]
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= {*variables, "__rate_interval"}


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_example_watches_over_https_with_the_token_in_a_file() -> None:
    config = yaml.safe_load((OPERATIONS / "prometheus.yml").read_text(encoding="utf-8"))
    [job] = config["scrape_configs"]
    assert (job["job_name"], job["scheme"], job["metrics_path"]) == ("twinlog", "https", "/metrics")
    assert set(job["authorization"]) == {"type", "credentials_file"}
    assert (OPERATIONS / config["rule_files"][0]) == ALERTS


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, cwd=HERE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@needs_promtool
def test_prometheus_takes_configuration_and_rules() -> None:
    promtool("check", "config", "--syntax-only", str(OPERATIONS / "prometheus.yml"))
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


@needs_promtool
def test_alerts_fire_when_they_should_and_not_otherwise() -> None:
    promtool("test", "rules", "alerts_test.yml")


@needs_promtool
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """As recording rules, whose expressions `promtool` parses; Grafana's own variables are filled in."""
    queries = [
        target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        for panel in panels()
        for target in panel["targets"]
    ]
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(file))
