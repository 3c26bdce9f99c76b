"""The demonstration: two nodes and a monitor as three processes, from certificates to a proof verified offline.

1. folders, keys, genesis of both sides          5. platforms of both sides log signatures; vouched for too
2. both nodes and the monitor start              6. one proof to a file; both nodes stop
3. submit everything, count refusals             7. verify it and the documents from files alone
4. wait until each side and the monitor vouch    8. both nodes start again
"""

import asyncio
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from log.client.backlog import Job
from log.client.proofs import ProofSource
from log.client.submit import Submitter
from log.demo.deployment import FAMILIES, PLATFORMS, Deployment, NodeSite
from log.demo.material import Material, gather
from log.demo.papers import Desk
from log.demo.processes import Process
from log.errors import LogError, Unreachable, VerificationError
from log.formats.family import EVENTS
from log.formats.text import b64encode

VOUCH_TIMEOUT_S = 60.0


async def run(folder: Path | None, *, once: bool, console: Console) -> int:
    """Run the whole; return the exit code. Without `once` it stays until Ctrl-C."""
    work = folder or Path(tempfile.mkdtemp(prefix="twinlog-demo-"))
    console.print(f"Twinlog demonstration in {work}")
    deployment = Deployment(work, governed=True, families=(*FAMILIES, EVENTS.name), page=True)
    nodes = {
        side: Process("log", ["serve", "--settings", str(site.settings)], work / f"{side}.out")
        for side, site in deployment.sites.items()
    }
    monitor = Process("monitor", ["run", "--settings", str(deployment.monitor_settings)], work / "monitor.out")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    story = asyncio.create_task(_story(deployment, nodes, monitor, console))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({story, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not story.done():
            return 1
        story.result()
        if not once:
            console.print("Running until Ctrl-C.")
            await stopped
    except LogError as error:
        console.print(f"[bold]The demonstration failed:[/bold] {error}", style="red")
        return 1
    finally:
        for task in (story, stopped):
            task.cancel()
        await asyncio.gather(story, stopped, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in (monitor, *nodes.values())))
    return 0


async def _story(deployment: Deployment, nodes: dict[str, Process], monitor: Process, console: Console) -> None:
    material = await asyncio.to_thread(gather, secrets.randbits(32))
    await deployment.create(material.anchors)
    await asyncio.gather(*(node.start("listening on") for node in nodes.values()))
    await monitor.start("")
    async with httpx.AsyncClient() as client:
        console.print("Two nodes and a monitor run; the monitor looks at both before they may sign.")
        await _wait_until_open(deployment, client)
        refusals = await _submit(deployment, material, console)
        console.print("Everything is logged; waiting for the other side and the monitor to vouch for it.")
        await _wait_until_vouched(deployment, client, but=EVENTS.name)
        desk = Desk(deployment.folder / "papers", deployment.sites, client)
        standings = await _log_papers(deployment, material, desk, console)
        health = await _wait_until_vouched(deployment, client)
        for paper in material.papers:
            await desk.vouch(paper)
        proof, certificate, policy = await _write_proof(deployment, material, client)
        console.print("Stopping both nodes: the proof has to stand without them.")
        await asyncio.gather(*(node.stop() for node in nodes.values()))
        statement = await _verify_offline(str(proof), str(certificate), "--policy", str(policy))
        said = [await _verify_offline(*desk.verify_arguments(paper)) for paper in material.papers]
        await asyncio.gather(*(node.start("listening on") for node in nodes.values()))
        await _wait_until_vouched(deployment, client)
    _summary(deployment, health, refusals, material, statement, console)
    _summary_of_papers(material, standings, said, console)


async def _submit(deployment: Deployment, material: Material, console: Console) -> list[str]:
    """Submit each side's chains to its node; return what was refused, and why."""
    refusals: list[str] = []
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)
    with bar as progress:

        async def one(site: NodeSite) -> None:
            chains = material.chains[site.side]
            task = progress.add_task(f"submitting to {site.name}", total=len(chains))
            async with Submitter(f"{site.url}/x509") as submitter:
                async for outcome in submitter.submit_all(map(Job, chains)):
                    progress.advance(task)
                    if outcome.refusal:
                        refusals.append(f"{site.name}: {outcome.refusal}")

        await asyncio.gather(*(one(site) for site in deployment.sites.values()))
    return refusals


async def _log_papers(deployment: Deployment, material: Material, desk: Desk, console: Console) -> list[str]:
    """Have the papers signed and logged, in their order; return what the nodes knew of their certificates."""
    standings = []
    for paper in material.papers:
        desk.write(paper)
        standings.append(await desk.send(paper, deployment.platform(paper.site)))
        console.print(f"{PLATFORMS[paper.site]} logged a signature: {paper.name}.")
    return standings


async def _health(site: NodeSite, client: httpx.AsyncClient) -> dict[str, Any]:
    try:
        health: dict[str, Any] = (await client.get(f"{site.url}/healthz")).json()
    except (httpx.HTTPError, ValueError):
        return {"logs": []}
    return health


async def _wait_until_open(deployment: Deployment, client: httpx.AsyncClient) -> None:
    """Wait until a guard has spoken for every log of both nodes."""
    await _wait(deployment, client, lambda status: bool(status["guarded"]), "guarded")


async def _wait_until_vouched(
    deployment: Deployment, client: httpx.AsyncClient, but: str = ""
) -> dict[str, dict[str, Any]]:
    """Wait until the witnessed head of every log, but perhaps one, covers all its entries."""

    def done(status: dict[str, Any]) -> bool:
        return bool(status["name"] == but or status["witnessed_size"] == status["size"] > 0)

    return await _wait(deployment, client, done, "vouched for")


async def _wait(deployment: Deployment, client: httpx.AsyncClient, done: Any, what: str) -> dict[str, dict[str, Any]]:
    health: dict[str, dict[str, Any]] = {}
    try:
        async with asyncio.timeout(VOUCH_TIMEOUT_S):
            while True:
                health = {side: await _health(site, client) for side, site in deployment.sites.items()}
                statuses = [status for node in health.values() for status in node["logs"]]
                if len(statuses) == len(health) * len(deployment.families) and all(done(status) for status in statuses):
                    return health
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise Unreachable(f"not {what} within {VOUCH_TIMEOUT_S:.0f} s: {health}") from error


async def _write_proof(
    deployment: Deployment, material: Material, client: httpx.AsyncClient
) -> tuple[Path, Path, Path]:
    """Write certificate, proof and policy to files, all that an offline verifier needs; return their paths."""
    site = deployment.sites["hk"]
    certificate = deployment.folder / "certificate.der"
    certificate.write_bytes(material.shown)
    chain = "".join(map(DER_cert_to_PEM_cert, material.chains["hk"][0]))
    (deployment.folder / "chain.pem").write_text(chain)  # for whoever submits it again
    proof = certificate.with_suffix(".tlog-proof")
    source = ProofSource(f"{site.url}/x509", client)
    proof.write_bytes(await source.by_certificate(material.shown, patience_s=VOUCH_TIMEOUT_S))
    return proof, certificate, site.policy("x509")


async def _verify_offline(*arguments: str) -> str:
    """Run `twinlog verify` as a process of its own; return what it says."""
    verifier = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "log", "verify", *arguments],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await verifier.communicate()
    if verifier.returncode != 0:
        raise VerificationError(err.decode().strip())
    return out.decode().strip()


def _summary(
    deployment: Deployment,
    health: dict[str, dict[str, Any]],
    refusals: list[str],
    material: Material,
    statement: str,
    console: Console,
) -> None:
    console.print("\nWhat is logged, and who vouches for it:")
    for side in deployment.sites:
        for status in health[side]["logs"]:
            counts = f"{status['size']:>5} entries, {status['witnessed_size']:>5} vouched for by"
            console.print(f"  {status['origin']:<30}{counts} {' and '.join(status['vouched_by'])}", soft_wrap=True)
    console.print(f"\nWith both nodes stopped, from three files: {statement}\n", soft_wrap=True)
    for refusal in refusals:
        console.print(f"refused by {refusal}", soft_wrap=True)
    if material.left_out:
        console.print(f"Left out: {material.left_out}.")
    for site in deployment.sites.values():
        console.print(
            f"{site.name}: {site.url}/ and {site.url}/healthz; its logs: "
            + ", ".join(f"{site.url}/{family}" for family in deployment.families)
        )
    console.print(
        f"Monitor: {deployment.page_url}/ (logs, who vouches, alerts, findings); in sentences:"
        f" twinlog-monitor status --settings {deployment.monitor_settings}",
        soft_wrap=True,
    )
    console.print(f"Genesis, which all of them pin: {b64encode(deployment.council.genesis().hash)}", soft_wrap=True)
    console.print(f"Files: {deployment.folder}")


def _summary_of_papers(material: Material, standings: list[str], said: list[str], console: Console) -> None:
    console.print("\nSigned documents, verified with both nodes stopped:")
    for paper, standing, words in zip(material.papers, standings, said, strict=True):
        first, *rest = words.splitlines()
        console.print(f"  {paper.name} (certificate of {paper.home.upper()}, {standing}): {first}", soft_wrap=True)
        for line in rest:
            console.print(f"    {line}", soft_wrap=True)
