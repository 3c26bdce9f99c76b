"""`twinlog verify-evidence`: whether an object proves what it says, offline, by keys that the caller has pinned.

The file is the object or the zip that a monitor exports. An identity is the log's signed statement, or what a node
shows of all its logs at `/.well-known/twinlog.json`, as the caller has kept it.

Exit codes: 0 it is proven; 1 it proves nothing, and why; 2 arguments; 3 it is only suspected: somebody saw it, and no
signature says it (E8).
"""

import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from log.client.verifier import verify_identity
from log.errors import LogError, Malformed, SettingsError
from log.evidence.check import Pinned, check
from log.formats.identity import Identity
from log.formats.note import VKey
from log.formats.policy import Policy
from log.formats.text import b64decode

EXIT_SUSPECTED = 3
MAX_OBJECT_BYTES = 16 << 20  # of an object in a zip; notes and proofs are far smaller

app = typer.Typer()


@app.command("verify-evidence")
def verify_evidence(
    file: Annotated[Path, typer.Argument(help="The zip that a monitor exports, or the evidence.json in it.")],
    identity: Annotated[
        list[Path] | None,
        typer.Option(help="The identity of the log, or its node's twinlog.json, as you trust it."),
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A verifier key of the log or the witness.")] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", "-p", help="A tlog-policy file: its logs and witnesses are pinned.")
    ] = None,
    genesis: Annotated[str, typer.Option(help="SHA-256 of the genesis, hex, for what authorities signed.")] = "",
) -> None:
    """Check evidence that a log, a witness or an authority lied. Exit 1: nothing is proven; 3: it is suspected."""
    pinned = _pinned(identity or [], key or [], policy, genesis)
    verdict = check(_object(file), pinned)
    if not verdict.proven:
        print(f"SUSPECTED ({verdict.kind.value}): {verdict.text}")
        raise typer.Exit(EXIT_SUSPECTED)
    print(f"PROVEN ({verdict.kind.value}): {verdict.text}")


def _pinned(identities: list[Path], keys: list[str], policy: Path | None, genesis: str) -> Pinned:
    known = [identity for path in identities for identity in _identities(path)]
    vkeys = [_vkey(text) for text in keys]
    if policy is not None:
        relied_on = _policy(policy)
        vkeys += [line.vkey for line in relied_on.logs] + [line.vkey for line in relied_on.witnesses]
    names = dict.fromkeys(vkey.name for vkey in vkeys if all(vkey.name != each.origin for each in known))
    known += [Identity.make(name, dict.fromkeys(vkey for vkey in vkeys if vkey.name == name)) for name in names]
    if not known and not genesis:
        raise SettingsError(
            "whom do you know? --identity, --key, --policy or --genesis says it, from a source you trust"
        )
    try:
        pin = bytes.fromhex(genesis) if genesis else None
    except ValueError as error:
        raise SettingsError("--genesis is a SHA-256 in hex") from error
    return Pinned(known, vkeys, pin)


def _object(file: Path) -> bytes:
    """Return the object in a file: of a zip its evidence.json."""
    if not zipfile.is_zipfile(file):
        return file.read_bytes()
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo("evidence.json").file_size > MAX_OBJECT_BYTES:
                raise Malformed(f"an evidence.json of over {MAX_OBJECT_BYTES} bytes")
            return archive.read("evidence.json")
    except (KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Malformed(f"{file.name} is no zip with an evidence.json in it") from error


def _identities(file: Path) -> list[Identity]:
    """Return the identities in a file: the signed statement of one log, or what a node shows of all its logs."""
    raw = file.read_bytes()
    try:
        return [verify_identity(statement) for statement in _statements(raw)]
    except LogError as error:
        raise SettingsError(f"--identity {file.name} is no identity that a log has signed: {error}") from error


def _statements(raw: bytes) -> Iterable[bytes]:
    if raw[:1] != b"{":
        return [raw]
    try:
        return [b64decode(shown["identity"]) for shown in json.loads(raw)["logs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed("JSON without the identities of logs") from error


def _vkey(text: str) -> VKey:
    try:
        return VKey.parse(text)
    except Malformed as error:
        raise SettingsError(f"--key {text[:64]} is no verifier key: {error}") from error


def _policy(file: Path) -> Policy:
    try:
        return Policy.parse(file.read_bytes())
    except Malformed as error:
        raise SettingsError(f"--policy {file.name}: {error}") from error
