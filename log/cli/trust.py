"""Commands for trust bundles: all that a verifier needs of governance in one file, checked from the genesis hash on."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import httpx
import typer

from log.client.exchange import exchange
from log.client.governance import GovernanceReader
from log.client.trust import Trust
from log.errors import Malformed, SettingsError, Unreachable
from log.folders import write_private
from log.formats.fields import parse_date
from log.formats.text import b64decode
from log.formats.trust_bundle import TrustBundle
from log.governance import fold, show

MAX_DESCRIPTION_BYTES = 4 << 20
DEADLINE_S = 30.0

app = typer.Typer(
    help="Genesis, chains and log identities in one file, for whoever verifies offline.", no_args_is_help=True
)

BundleFile = Annotated[Path, typer.Argument(help="A trust bundle.")]
Pinned = Annotated[str, typer.Option("--genesis", help="Base64 SHA-256 of the genesis that you rely on.")]


@app.command()
def export(
    url: Annotated[str, typer.Argument(help="A node's governance log, as https://hk.example/governance")],
    file: Annotated[
        Path, typer.Argument(help="The bundle to write; one that is there is replaced by a later one only.")
    ],
    pinned: Pinned,
) -> None:
    """Write what a node's governance holds now as a bundle, once all of it is verified."""
    raw = asyncio.run(_collect(url.rstrip("/"), b64decode(pinned, 32)))
    _put(raw, file, b64decode(pinned, 32))
    print(_sentence(Trust.open(raw, b64decode(pinned, 32)), file))


@app.command()
def adopt(
    new: Annotated[Path, typer.Argument(help="A bundle that somebody gave you.")],
    file: Annotated[Path, typer.Argument(help="The bundle that you use; replaced by a later one only.")],
    pinned: Pinned,
) -> None:
    """Verify a bundle and use it from now on. Exit 1 when it does not hold, or is older than the one in use."""
    _put(new.read_bytes(), file, b64decode(pinned, 32))
    print(_sentence(Trust.open(file.read_bytes(), b64decode(pinned, 32)), file))


@app.command()
def verify(file: BundleFile, pinned: Pinned) -> None:
    """Check a bundle from the pinned genesis on. Exit 1 when anything in it does not hold."""
    print(_sentence(Trust.open(file.read_bytes(), b64decode(pinned, 32)), file))


@app.command("show")
def show_bundle(
    file: BundleFile,
    pinned: Pinned,
    date: Annotated[str, typer.Option("--at", help="As 2026-11-28T00:00:00Z.")],
) -> None:
    """Print authorities, logs, policies and all else that held on a date, as JSON."""
    trust = Trust.open(file.read_bytes(), b64decode(pinned, 32))
    state = fold.at(trust.chains, parse_date(date))
    print(json.dumps(json.loads(show.encode(state)), indent=2, ensure_ascii=False))


async def _collect(url: str, genesis_hash: bytes) -> bytes:
    async with httpx.AsyncClient() as client:
        node = GovernanceReader(url, client)
        genesis = await node.genesis(genesis_hash)
        actions = await node.actions(genesis)
        identities = await _identities(url.rpartition("/")[0], client)
    ordered = sorted(actions, key=lambda signed: (signed.action.seq, signed.hash))
    by_chain = {
        chain: tuple(signed.note for signed in ordered if signed.action.chain == chain) for chain in genesis.chains
    }
    return TrustBundle(genesis, by_chain, identities).encode()


async def _identities(node: str, client: httpx.AsyncClient) -> dict[str, bytes]:
    """Return what the node's logs say of their keys, by origin; each is verified with the bundle."""
    url = f"{node}/.well-known/twinlog.json"
    answer = await exchange(client, "GET", url, "description", max_bytes=MAX_DESCRIPTION_BYTES, deadline_s=DEADLINE_S)
    if answer.status != httpx.codes.OK:
        raise Unreachable(f"{url}: {answer.reason}")
    try:
        logs = json.loads(answer.body)["logs"]
        return {str(each["origin"]): b64decode(str(each["identity"])) for each in logs}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"{url}: not what a node says of its logs") from error


def _put(raw: bytes, file: Path, genesis_hash: bytes) -> None:
    """Write a bundle that holds, in the place of none or of one that it goes on from."""
    trust = Trust.open(raw, genesis_hash)
    if file.exists():
        trust.check_after(Trust.open(file.read_bytes(), genesis_hash))
    if not file.parent.is_dir():
        raise SettingsError(f"{file.parent}: no such folder")
    write_private(file, raw)


def _sentence(trust: Trust, file: Path) -> str:
    counts = ", ".join(f"{len(chain.actions)} of {name}" for name, chain in trust.chains.chains.items())
    return f"{file}: {counts}; {len(trust.bundle.identities)} log identities"
