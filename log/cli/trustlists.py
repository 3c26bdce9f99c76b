"""Commands for trust lists: make, sign, verify, show."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from log.certs import certificate, trustlist
from log.certs.trustlist import TrustList
from log.certs.trustlist_rows import Issuer
from log.client import pem
from log.crypto import keys
from log.crypto.keys import Kind
from log.crypto.notes import NoteSigner, sign_note
from log.errors import SettingsError
from log.formats.note import KeyType, Note, VKey

app = typer.Typer(help="Signed trust lists: whose certificates a log admits, and as what.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder with trustlist.json and trustlist.note.")]


@app.command()
def make(
    folder: Folder,
    issuers: Annotated[list[Path], typer.Argument(help="Certificates of issuers, or folders of them.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="More than the list in use; by default one more than in the folder.")
    ] = None,
    observed: Annotated[bool, typer.Option("--observed", help="Listed to be logged, not to be recognised.")] = False,
    weak_hash: Annotated[bool, typer.Option("--weak-hash", help="Admit SHA-1 signatures under these issuers.")] = False,
) -> None:
    """Write an unsigned trustlist.json that lists these issuers from today on."""
    now_ms = int(time.time()) * 1000
    rows = [
        Issuer(
            id=f"issuer-{number}",
            certificate=der,
            root_id=f"issuer-{number}",
            from_ms=now_ms,
            to_ms=None,
            withdrawn_ms=None,
            reason="",
            observed=observed,
            source_url="",
            source_sha256="",
            weak_hash=weak_hash,
            unknown=False,
        )
        for number, der in enumerate(dict.fromkeys(d for file in pem.files(issuers) for d in pem.read(file)), 1)
    ]
    if not rows:
        raise pem.nowhere(issuers)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trustlist.json"
    if version is None:
        version = TrustList.parse(path.read_bytes()).version + 1 if path.exists() else 1
    path.write_bytes(TrustList(version, now_ms, tuple(rows), ()).encode())
    print(f"{folder}/trustlist.json: version {version}, {len(rows)} issuers; sign it next")


@app.command()
def sign(
    folder: Folder,
    key: Annotated[Path, typer.Option(help="Ed25519 key file of a signer; made when it is not there.")],
    name: Annotated[str, typer.Option(help="The signer's key name.")],
) -> None:
    """Add one signer's line to trustlist.note. Works offline; run it once per signer."""
    if not key.exists():
        keys.generate_key(key, Kind.ED25519)
    signer = NoteSigner.make(name, KeyType.ED25519, keys.load_ed25519(key))
    listed = TrustList.parse((folder / "trustlist.json").read_bytes())
    path = folder / "trustlist.note"
    note = asyncio.run(sign_note(listed.note_text(), 0, [signer]))
    if path.exists():
        held = Note.parse(path.read_bytes())
        if held.text == note.text:
            others = tuple(line for line in held.signatures if not signer.vkey.owns(line))
            note = Note(note.text, (*others, *note.signatures))
    path.write_bytes(note.encode())
    print(f"{path}: signed by {signer.vkey.encode()}")


@app.command()
def verify(
    folder: Folder,
    signer: Annotated[list[str], typer.Option(help="A signer's vkey; repeat it.")],
    threshold: Annotated[int, typer.Option(help="How many of them must have signed.")] = 1,
) -> None:
    """Check a list's signatures and its form."""
    listed = _verified(folder, signer, threshold)
    print(f"version {listed.version}: {len(listed.issuers)} issuers, {len(listed.types)} types, signatures in order")


@app.command()
def show(folder: Folder) -> None:
    """List the issuers of a list. Its signatures are not checked."""
    for issuer in TrustList.parse((folder / "trustlist.json").read_bytes()).issuers:
        marks = [mark for mark, is_set in (("observed", issuer.observed), ("weak hash", issuer.weak_hash)) if is_set]
        fingerprint = certificate.parse(issuer.certificate).fingerprint.hex()
        sys.stdout.write(f"{issuer.id}\t{fingerprint}\t{', '.join(marks)}\n")


def _verified(folder: Path, signers: list[str], threshold: int) -> TrustList:
    try:
        data, note = (folder / "trustlist.json").read_bytes(), (folder / "trustlist.note").read_bytes()
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from error
    return trustlist.verify(data, note, [VKey.parse(text) for text in signers], threshold)
