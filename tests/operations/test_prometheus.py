"""A real Prometheus watches two real nodes and their monitor by our examples: what no parser of rules can tell.

Each rule is evaluated over what is scraped, and none fires while all is well; each panel of a dashboard has something
to show; and when a node has ended, the alert about it comes. Without the program this is left out.
"""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from log.demo.ports import own_port
from tests.operations.test_operations import MONITOR, NODE, Given
from tests.support.nodes import World, client, eventually, world

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus absent")

# What shows nothing while all is well, or where no certificate log has a window.
EMPTY = {"Not signing", "Evidence", "Findings, by rule", "Shards", "Errors", "Alerts that a channel was not told"}


@asynccontextmanager
async def prometheus(folder: Path, targets: dict[str, list[str]]) -> AsyncIterator[str]:
    """Run Prometheus with both examples as one; `targets` are host and port of each job. Return its API's URL."""
    config: dict[str, Any] = {"global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"}}
    config |= {"rule_files": [], "scrape_configs": []}
    for given in (NODE, MONITOR):
        example = yaml.safe_load((given.folder / "prometheus.yml").read_text(encoding="utf-8"))
        [job] = example["scrape_configs"]
        config["rule_files"] += [str(given.folder / name) for name in example["rule_files"]]
        config["scrape_configs"].append(
            job | {"scheme": "http", "static_configs": [{"targets": targets[job["job_name"]]}]}
        )
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    port = own_port()
    assert PROMETHEUS is not None
    with (folder / "prometheus.out").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def told(http: httpx.AsyncClient, url: str, **query: str) -> Any:
    """Return the data of an answer, None while Prometheus does not listen yet, or opens its store."""
    try:
        answer = await http.get(url, params=query)
    except httpx.ConnectError:
        return None
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()["data"]


async def rules(http: httpx.AsyncClient, api: str) -> dict[str, dict[str, Any]]:
    groups = (await told(http, f"{api}/rules"))["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}


def queries(given: Given) -> list[tuple[str, str]]:
    """Return title and expression of all that a dashboard shows, Grafana's own variables filled in."""
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*"))
        for panel in given.panels()
        for target in panel["targets"]
    ]


async def used(w: World, http: httpx.AsyncClient) -> None:
    """Let the nodes do what they do all day."""
    await asyncio.gather(w.start("hk"), w.start("gd"))
    await w.start_monitor()
    await asyncio.gather(w.healthy(http, "hk"), w.healthy(http, "gd"))
    await w.submits(http, 5)
    number, (der, _) = next(iter(w.promises.scts.items()))
    await w.promises.submit(http, w.site().url, (number, der))  # known before
    assert (await http.post(f"{w.site().url}/x509/ct/v1/add-chain", json={"chain": []})).status_code == 400
    await w.witnessed(http, 5)


async def test_it_scrapes_nodes_and_monitor_and_all_that_operators_are_given_works(tmp_path: Path) -> None:
    async with world(tmp_path / "d", {"heartbeat_s": 1}, page=True) as w, client() as http:
        await used(w, http)
        nodes = [f"127.0.0.1:{w.site(side).port}" for side in ("hk", "gd")]
        page = w.deployment.page_url.removeprefix("http://")
        async with prometheus(tmp_path, {NODE.job: nodes, MONITOR.job: [page]}) as api:

            async def scraped() -> bool:
                held = await told(http, f"{api}/targets", state="active")
                return held is not None and [each["health"] for each in held["activeTargets"]] == ["up"] * 3

            await eventually("all three are scraped", scraped)

            async def evaluated() -> bool:
                return {rule["health"] for rule in (await rules(http, api)).values()} == {"ok"}

            await eventually("every rule was evaluated", evaluated)
            held = await rules(http, api)
            assert set(held) == {rule["alert"] for each in (NODE, MONITOR) for rule in each.rules()}
            assert [name for name, rule in held.items() if rule["state"] == "firing"] == []
            for title, query in (*queries(NODE), *queries(MONITOR)):

                async def shown() -> bool:
                    return bool((await told(http, f"{api}/query", query=query))["result"])  # noqa: B023 - awaited here

                if title not in EMPTY:
                    await eventually(f"{title}: {query}", shown)

            await w.process("gd").stop(signal.SIGKILL)

            async def missed() -> bool:
                down = (await rules(http, api))["TwinlogDown"]
                return [each["labels"]["instance"] for each in down["alerts"]] == [nodes[1]]

            await eventually("an alert is about the node that ended", missed)
