"""What operators are given (`log/operations`, `monitor/operations`): every metric named there is one of ours, and
Prometheus takes the rules.

`promtool` comes with Prometheus; without it the last tests are left out.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from log.api.app import COLD
from log.api.edge import HOT
from log.api.exposition import METRICS as NODE_METRICS
from log.sequencer.commit import PHASES
from log.serving.sheet import Described
from monitor.web.metrics import METRICS as MONITOR_METRICS

HERE = Path(__file__).resolve().parent
SUFFIXES = ("_bucket", "_sum", "_count")

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool absent")


@dataclass(frozen=True)
class Given:
    """What goes with one program."""

    folder: Path
    metrics: Mapping[str, Described]
    job: str
    uid: str  # of the dashboard
    prefix: str  # of its alerts
    test: str  # file of unit tests for its rules

    @property
    def alerts(self) -> Path:
        return self.folder / "alerts.yml"

    def rules(self) -> list[dict[str, Any]]:
        groups = yaml.safe_load(self.alerts.read_text(encoding="utf-8"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def dashboard(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "dashboard.json").read_text(encoding="utf-8"))
        return loaded

    def panels(self) -> list[dict[str, Any]]:
        return [panel for panel in self.dashboard()["panels"] if panel["type"] != "row"]

    def expressions(self) -> Iterator[str]:
        yield from (rule["expr"] for rule in self.rules())
        yield from (target["expr"] for panel in self.panels() for target in panel["targets"])


CHECKOUT = HERE.parents[1]
NODE = Given(CHECKOUT / "log/operations", NODE_METRICS, "twinlog", "twinlog-node", "Twinlog", "alerts_test.yml")
MONITOR = Given(
    CHECKOUT / "monitor/operations",
    MONITOR_METRICS,
    "twinlog-monitor",
    "twinlog-monitor",
    "TwinlogMonitor",
    "monitor_alerts_test.yml",
)
both = pytest.mark.parametrize("given", [NODE, MONITOR], ids=["node", "monitor"])


def named(given: Given, expression: str) -> set[str]:
    """Return the metrics that an expression names: a histogram's series count as the histogram."""
    words = re.findall(r"twinlog_[a-z0-9_]+", expression)
    histogram = {name for name, each in given.metrics.items() if each.family.__name__.startswith("Histogram")}
    bases = {word: re.sub(r"_(bucket|sum|count)$", "", word) for word in words}
    return {base if base in histogram and word.endswith(SUFFIXES) else word for word, base in bases.items()}


@both
def test_every_metric_that_is_named_is_one_of_ours(given: Given) -> None:
    for expression in given.expressions():
        assert named(given, expression) <= set(given.metrics), expression
        assert named(given, expression) or "up{" in expression, expression


@both
def test_labels_that_are_asked_for_are_labels_of_ours(given: Given) -> None:
    ours = {label for each in given.metrics.values() for label in each.labels} | {"instance", "job", "le"}
    for expression in given.expressions():
        selected = [
            label for inside in re.findall(r"\{([^{}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", inside)
        ]
        grouped = [label for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in by.split(", ")]
        made = set(re.findall(r'label_replace\(\w+, "(\w+)"', expression))
        assert {*selected, *grouped} <= ours | made, expression
    jobs = {job for each in given.expressions() for job in re.findall(r'job="([^"]+)"', each)}
    assert jobs == {given.job}


def test_routes_and_phases_that_are_named_exist() -> None:
    routes = {route.pattern for route in (*HOT, *COLD)}
    for expression in NODE.expressions():
        for exact in re.findall(r'route!?="([^"]+)"', expression):
            assert exact in routes
        for pattern in re.findall(r'route=~"([^"]+)"', expression):
            assert [route for route in routes if re.fullmatch(pattern, route)]
    texts = " ".join(rule["annotations"]["action"] for rule in NODE.rules())
    assert {"index", "write", "swap"} <= set(PHASES)
    assert {word for word in ("`index`", "`write`", "`swap`") if word in texts} == {"`index`", "`write`", "`swap`"}


@both
def test_what_an_alert_is_about_is_on_the_dashboard(given: Given) -> None:
    """A dashboard that lacks what an alert is about sends its reader elsewhere in the worst moment."""
    shown = {name for panel in given.panels() for target in panel["targets"] for name in named(given, target["expr"])}
    alerted = {name for rule in given.rules() for name in named(given, rule["expr"])}
    assert alerted - shown == set()


@both
def test_every_alert_says_what_is_the_case_and_what_to_do(given: Given) -> None:
    names = [rule["alert"] for rule in given.rules()]
    assert len(names) == len(set(names))
    for rule in given.rules():
        assert re.fullmatch(given.prefix + r"([A-Z][a-z]+)+", rule["alert"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "action"}
        assert "$labels" in rule["annotations"]["summary"]
        assert len(rule["annotations"]["action"].split()) >= 8


@both
def test_alerts_that_are_named_exist(given: Given) -> None:
    texts = " ".join(text for rule in given.rules() for text in rule["annotations"].values())
    tested = (HERE / given.test).read_text(encoding="utf-8")
    assert set(re.findall(r"Twinlog[A-Z]\w+", texts + tested)) <= {rule["alert"] for rule in given.rules()}


@both
def test_the_dashboard_is_one_that_grafana_imports(given: Given) -> None:
    board = given.dashboard()
    assert (board["uid"], board["schemaVersion"] >= 36, board["timezone"]) == (given.uid, True, "utc")
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert named(given, variables["instance"]["definition"]) <= set(given.metrics)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in given.panels():
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


@both
def test_panels_lie_beside_each_other(given: Given) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in given.dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@both
def test_the_example_watches_over_https_and_needs_no_file_of_ours(given: Given) -> None:
    """The token, where a proxy asks for one, and a private CA are lines to uncomment: Prometheus refuses to start
    without a file that its configuration names."""
    text = (given.folder / "prometheus.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    [job] = config["scrape_configs"]
    assert (job["job_name"], job["scheme"], job["metrics_path"]) == (given.job, "https", "/metrics")
    assert set(job) == {"job_name", "scheme", "metrics_path", "static_configs"}
    [uncommented] = yaml.safe_load(re.sub(r"(?m)^    # (?=\w+:|  )", "    ", text))["scrape_configs"]
    held = {"type", "credentials_file"} if given is NODE else set()  # a monitor's numbers are open
    assert set(uncommented.get("authorization", ())) == held
    assert set(uncommented["tls_config"]) == {"ca_file"}
    assert (given.folder / config["rule_files"][0]) == given.alerts


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, cwd=HERE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@both
@needs_promtool
def test_prometheus_takes_configuration_and_rules(given: Given) -> None:
    promtool("check", "config", str(given.folder / "prometheus.yml"))
    assert f"{len(given.rules())} rules found" in promtool("check", "rules", str(given.alerts))


@both
@needs_promtool
def test_alerts_fire_when_they_should_and_not_otherwise(given: Given) -> None:
    promtool("test", "rules", given.test)


@both
@needs_promtool
def test_prometheus_takes_every_expression_of_the_dashboard(given: Given, tmp_path: Path) -> None:
    """As recording rules, whose expressions `promtool` parses; Grafana's own variables are filled in."""
    queries = [
        target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        for panel in given.panels()
        for target in panel["targets"]
    ]
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(file))
