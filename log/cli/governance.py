"""Commands for governance: genesis, drafts, signatures, and what holds on a date.

All but `submit` work offline on files. `show`, `at` and `verify` also take the URL of a node's governance log, and then
the genesis that is pinned.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from log.client.actions import GENESIS_FILE, Folder, read_action
from log.client.governance import GovernanceReader
from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.notes import NoteSigner, sign_note
from log.errors import BadSignature, Malformed, PolicyNotMet, SettingsError
from log.formats.action import JOINT
from log.formats.fields import encode_date, parse_date
from log.formats.genesis import Authorities, Genesis, Initial
from log.formats.note import KeyType
from log.formats.text import b64decode, b64encode
from log.governance import fold, show
from log.governance.chains import KINDS, Chains, Signed, arrange

app = typer.Typer(
    help="Who may decide, and what they decided: chains of signed actions in a folder.", no_args_is_help=True
)

Source = Annotated[
    str, typer.Argument(metavar="FOLDER|URL", help=f"A folder with {GENESIS_FILE} and actions, or a governance log.")
]
FolderArgument = Annotated[Path, typer.Argument(help=f"Folder with {GENESIS_FILE} and the actions.")]
Pinned = Annotated[str, typer.Option("--genesis", help="Base64 SHA-256 of the genesis that you rely on.")]


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="Where the private key is to lie, readable by its owner alone.")],
    name: Annotated[str, typer.Option(help="The key's name, such as hk.authority.example/1.")],
) -> None:
    """Make an authority's key and print its vkey; of a key that is there print the vkey."""
    if not file.exists():
        keys.generate_key(file, Kind.ED25519)
    print(_signer(file, name).vkey.encode())


@app.command()
def genesis(
    folder: FolderArgument,
    side: Annotated[list[str], typer.Option(help="NAME=FILE with that side's vkeys, a line each; once a side.")],
    threshold: Annotated[int, typer.Option(help="How many of a side's keys must sign.")] = 2,
    notice_s: Annotated[int, typer.Option(help="Least seconds before a relaxation takes effect.")] = 600,
    initial: Annotated[
        Path | None, typer.Option(help='JSON: {"hk": [{"type", "payload"}…], …}, what holds from the beginning.')
    ] = None,
) -> None:
    """Write the genesis of a new governance, and print the hash that everyone pins."""
    sides = dict(_side(text, threshold) for text in side)
    rows = {} if initial is None else _json(initial)
    if unknown := rows.keys() - {*sides, JOINT}:
        raise Malformed(f"{initial}: no chain is called {', '.join(sorted(unknown))}")
    beginning = {chain: tuple(Initial.of(row) for row in rows.get(chain, ())) for chain in (*sides, JOINT)}
    made = Genesis(int(time.time()) * 1000, notice_s, sides, beginning)
    fold.check_genesis(made)
    path = folder / GENESIS_FILE
    if path.exists():
        raise SettingsError(f"{path} is there already; a genesis is never replaced")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.encode())
    Genesis.parse(path.read_bytes())
    print(f"{path}: pin {b64encode(made.hash)}")


@app.command()
def draft(
    folder: FolderArgument,
    chain: Annotated[str, typer.Argument(help="Name of a side, or joint.")],
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(sorted(KINDS))}.")],
    payload: Annotated[str, typer.Argument(help="JSON object, or - for standard input.")],
    effective: Annotated[str, typer.Option(help="From when it holds, as 2026-11-28T00:00:00Z. Now unless said.")] = "",
) -> None:
    """Write the next action of a chain, unsigned, for its authorities to look at and sign."""
    text = sys.stdin.read() if payload == "-" else payload
    effective_ms = parse_date(effective) if effective else int(time.time()) * 1000
    print(Folder(folder).draft(chain, kind, _object(text, "the payload"), effective_ms))


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(help="A draft, or an action that others have signed.")],
    key: Annotated[Path, typer.Option(help="Key file of an authority.")],
    name: Annotated[str, typer.Option(help="The key's name.")],
) -> None:
    """Put one authority's line under an action. Needs the file and the key and nothing else."""
    signer = _signer(key, name)
    action = read_action(file)
    note = asyncio.run(sign_note(action.encode(), 0, [signer]))
    path = Folder(file.parent).keep(action, note.signatures)
    print(f"{path}: {action.chain} {action.seq} {action.type}, signed by {signer.vkey.encode()}")


@app.command("submit")
def submit_actions(
    folder: FolderArgument,
    url: Annotated[str, typer.Option("--to", help="The governance log, as https://hk.example/governance")],
) -> None:
    """Bring a node every action of the folder that it lacks, and keep its receipts. Exit 1 when it refuses one."""
    held = Folder(folder)
    genesis = held.genesis()
    order = (JOINT, *genesis.sides)  # `joint` gives the keys of the others
    signed = sorted(
        (each for _, each in held.signed()), key=lambda each: (order.index(each.action.chain), each.action.seq)
    )

    async def work() -> int:
        refused = 0
        async with httpx.AsyncClient() as client:
            node = GovernanceReader(url, client)
            await node.genesis(genesis.hash)
            for each in signed:
                action = each.action
                answer = await node.bring(each)
                print(f"{action.chain} {action.seq} {action.type}: {answer.reason or 'taken'}")
                refused += not answer.receipt
                if answer.receipt:
                    held.keep_receipt(each, answer.receipt)
        return refused

    if asyncio.run(work()):
        raise typer.Exit(1)


@app.command("show")
def show_actions(source: Source, pinned: Pinned = "") -> None:
    """List every action and whether it counts."""
    chains, actions = _open(source, pinned)
    print(f"genesis {b64encode(chains.genesis.hash)}, notice {chains.genesis.notice_s} s")
    for where, signed in sorted(actions, key=lambda pair: (pair[1].action.chain, pair[1].action.seq)):
        action = signed.action
        since = encode_date(action.effective_ms)
        print(f"{action.chain} {action.seq} {action.type} from {since}: {_standing(chains, signed)} ({where})")


@app.command()
def at(
    source: Source,
    date: Annotated[str, typer.Argument(help="As 2026-11-28T00:00:00Z.")],
    pinned: Pinned = "",
) -> None:
    """Print everything that held on a date, as JSON."""
    chains, _ = _open(source, pinned)
    state = fold.at(chains, parse_date(date))
    print(json.dumps(json.loads(show.encode(state)), indent=2, ensure_ascii=False))


@app.command()
def verify(source: Source, pinned: Pinned) -> None:
    """Check all actions from the pinned genesis on. Exit 1 when one does not count, or a seq is signed twice."""
    chains, actions = _open(source, pinned)
    wrong = [(where, standing) for where, signed in actions if (standing := _standing(chains, signed)) != COUNTS]
    for where, standing in wrong:
        print(f"{where}: {standing}")
    for name, chain in chains.chains.items():
        print(f"{name}: {len(chain.actions)} actions count")
    if wrong:
        raise typer.Exit(1)


def _open(source: str, pinned: str) -> tuple[Chains, list[tuple[str, Signed]]]:
    """Return the chains that a folder or a node holds, and every action with where it was found."""
    if not source.startswith(("http://", "https://")):
        held = Folder(Path(source))
        chains = held.chains()
        if pinned and chains.genesis.hash != b64decode(pinned, 32):
            raise Malformed(f"this genesis has the hash {b64encode(chains.genesis.hash)}, not the pinned one")
        return chains, [(path.name, signed) for path, signed in held.signed()]
    if not pinned:
        raise SettingsError("--genesis: a node is not believed about its genesis, say which one you rely on")

    async def read() -> tuple[Genesis, list[Signed]]:
        async with httpx.AsyncClient() as client:
            node = GovernanceReader(source, client)
            begun = await node.genesis(b64decode(pinned, 32))
            return begun, await node.actions(begun)

    begun, actions = asyncio.run(read())
    return arrange(begun, actions), [(each.hash.hex(), each) for each in actions]


COUNTS = "counts"


def _standing(chains: Chains, signed: Signed) -> str:
    """Say in a few words whether an action counts, and why not."""
    chain = chains.chains.get(signed.action.chain)
    if chain is None or signed.action.genesis != chains.genesis.hash:
        return "of another genesis"
    if any(other.hash == signed.hash for other in chain.actions):
        return COUNTS
    if any(other.hash == signed.hash for other in chain.disputed):
        return f"disputed: seq {chain.next_seq} is signed twice"
    if signed.action.seq > chain.next_seq:
        return f"waits for seq {chain.next_seq}"
    try:
        chains.check(signed)
    except (BadSignature, PolicyNotMet) as error:
        return f"not signed enough: {error}"
    return "does not follow the action before it"


def _signer(file: Path, name: str) -> NoteSigner:
    return NoteSigner.make(name, KeyType.ED25519, keys.load_ed25519(file))


def _side(text: str, threshold: int) -> tuple[str, Authorities]:
    name, equals, path = text.partition("=")
    if not equals:
        raise SettingsError("a side is given as NAME=FILE")
    lines = Path(path).read_text(encoding="utf-8").split()
    return name, Authorities.of(lines, threshold)


def _json(path: Path) -> dict[str, Any]:
    return _object(path.read_text(encoding="utf-8"), str(path))


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{what} is not JSON") from error
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a JSON object")
    return value
