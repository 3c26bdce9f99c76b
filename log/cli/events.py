"""Commands of whoever signs documents and logs that: sign, send, keep, disclose; and of who finds it: find.

Document and openings stay on the machine on which `sign` runs. What it writes is for its owner alone:

    DOCUMENT.event         the event and its openings, until there is a receipt
    DOCUMENT.tlog-proof    the receipt with the openings
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from log.cli import vouching
from log.client import pem
from log.client.event_sender import send_events, signer
from log.client.event_verifier import ProvenEvent, certificate_ref, event_extra, verify_receipt
from log.client.events import disclosed, event_ref, sign_event
from log.client.held import Held
from log.client.proofs import ProofSource
from log.crypto.member_keys import MemberKey
from log.errors import LogError, Malformed, SettingsError
from log.folders import write_private
from log.formats.event_batch import EventBatch, EventResults
from log.formats.event_codes import EventType
from log.formats.fields import encode_minute, member_id
from log.formats.policy import Policy
from log.formats.tlog_proof import TlogProof

app = typer.Typer(help="Log that a document was signed; the document stays where it is.", no_args_is_help=True)

HELD, RECEIPT = ".event", ".tlog-proof"
_MINUTE_MS = 60_000

KeyFile = Annotated[Path | None, typer.Option("--member-key", help="Key file of the member: Ed25519 or P-256.")]
To = Annotated[str, typer.Option("--to", help="The log's URL, with its name: https://hk.example/events")]
Authority = Annotated[str, typer.Option(help="Public name of the node, where that is not the host of --to.")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", "-p", help="Verify the receipt by this tlog-policy file.")]


@app.command()
def sign(
    document: Annotated[Path, typer.Argument(help="The document that was signed.")],
    certificate: Annotated[Path, typer.Option(help="The signer's certificate, DER or PEM.")],
    signature: Annotated[Path, typer.Option(help="The signature over the document: its value, as the key made it.")],
    member: Annotated[str, typer.Option(help="Who logs it: <side>/<member>.")],
    ca: Annotated[str, typer.Option(help="The certificate's issuer, by its id in the trust list.")],
    signer_jurisdiction: Annotated[str, typer.Option(help="Of the signer: HK, CN-GD, …")],
    platform_jurisdiction: Annotated[str, typer.Option(help="Of the platform: HK, CN-GD, …")],
    at: Annotated[str, typer.Option(help="When it was signed, as 2026-11-28T08:15Z. Now unless said.")] = "",
    kind: Annotated[EventType, typer.Option("--type", help="sign, countersign or seal-use.")] = EventType.SIGN,
    organisation: Annotated[
        bool,
        typer.Option("--organisation", help="Name the certificate, an organisation's, not commit to it."),
    ] = False,
    certificate_proof: Annotated[
        Path | None, typer.Option(help="With --organisation: the certificate's .tlog-proof; the event names that leaf.")
    ] = None,
    earlier: Annotated[list[Path] | None, typer.Option(help="Receipt of an event that this one speaks of.")] = None,
    with_member: Annotated[
        list[str] | None, typer.Option("--with", help="NAME=WORD of the event: purpose=customs, city=shenzhen, …")
    ] = None,
    commit: Annotated[
        list[str] | None, typer.Option("--commit", help="FIELD=FILE: commit to what a file holds: subject=id.txt, …")
    ] = None,
    seq: Annotated[int, typer.Option(help="The request's number; the microseconds of now unless said.")] = 0,
    to: To = "",
    member_key: KeyFile = None,
    authority: Authority = "",
    offline: Annotated[
        Path | None,
        typer.Option("--offline", help="Send nothing; write the body that another machine sends."),
    ] = None,
    policy: PolicyFile = None,
) -> None:
    """Make an event of a signed document, verify the signature, and log it."""
    if (offline is None) != bool(to):
        raise SettingsError("either --to with --member-key, or --offline")
    key = None if offline is not None else _key(member_id(member), member_key)
    now_ms = int(time.time() * 1000)
    said: dict[str, Any] = dict(_pair(text) for text in with_member or [])
    said |= {
        "type": kind.value,
        "at": at or encode_minute(now_ms // _MINUTE_MS * _MINUTE_MS),
        "ca": ca,
        "signer_jurisdiction": signer_jurisdiction,
        "platform_jurisdiction": platform_jurisdiction,
    }
    if earlier:
        said["events"] = [event_ref(path.read_bytes()).to_json() for path in earlier]
    der = pem.read(certificate)[0]
    proof = None if certificate_proof is None else certificate_proof.read_bytes()
    opened = sign_event(
        document.read_bytes(),
        der,
        signature.read_bytes(),
        said,
        named=organisation,
        certificate_ref=None if proof is None else certificate_ref(proof, der),
        committed={name: Path(file).read_bytes() for name, file in (_pair(text) for text in commit or [])},
    )
    held = Held.one(member_id(member), seq or now_ms * 1000, opened, proof)
    file = document.with_name(document.name + HELD)
    for path in (file, _receipt_file(file)):
        if path.exists():
            raise SettingsError(f"{path} is there already: of an event that was made before")
    write_private(file, held.encode())
    if offline is None:
        _send(file, held, to, key, authority, policy)
        return
    offline.write_bytes(held.batch.encode())
    print(f"{offline}: for the log; without document, names and openings")
    print(f"{file}: stays here; with the log's answer: twinlog event keep {file} ANSWER")


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="A .event file, or the body that `sign --offline` wrote.")],
    to: To,
    member_key: KeyFile = None,
    answer: Annotated[Path | None, typer.Option("--answer", help="Of a body: where the log's answer goes.")] = None,
    authority: Authority = "",
    policy: PolicyFile = None,
) -> None:
    """Send what was made before. The same again gets the same answer."""
    if file.suffix == HELD:
        held = Held.parse(file.read_bytes())
        _send(file, held, to, _key(held.batch.member, member_key), authority, policy)
        return
    if answer is None:
        raise SettingsError("the answer to a body goes to --answer FILE")
    batch = EventBatch.parse(file.read_bytes())
    results = asyncio.run(_ask(to, batch, _key(batch.member, member_key), authority))
    answer.write_bytes(results.encode())
    refused = [result.refused for result in results.results if result.refused is not None]
    print(f"{answer}: {len(results.results) - len(refused)} receipts, {len(refused)} refused")
    if refused:
        raise typer.Exit(1)


@app.command()
def keep(
    file: Annotated[Path, typer.Argument(help="The .event file.")],
    answer: Annotated[Path, typer.Argument(help="The log's answer to its body.")],
    policy: PolicyFile = None,
) -> None:
    """Put a receipt that came another way beside its openings."""
    _keep(file, Held.parse(file.read_bytes()), EventResults.parse(answer.read_bytes()), policy)


@app.command()
def find(
    url: Annotated[str, typer.Argument(help="The log's URL, with its name.")],
    signature: Annotated[Path, typer.Argument(help="The signature's value.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the receipt.")],
    member: Annotated[str, typer.Option(help="Who asks, where entries are for members: <side>/<member>.")] = "",
    member_key: KeyFile = None,
    authority: Authority = "",
    newest: Annotated[bool, typer.Option("--newest", help="Take a provisional proof: one side only.")] = False,
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the witnesses.")] = 30,
) -> None:
    """Fetch the receipt of a document that came with its signature alone."""
    sign_read = signer(_key(member_id(member), member_key), member, authority) if member else _unsigned

    async def work() -> bytes:
        async with httpx.AsyncClient() as client:
            source = ProofSource(url, client, sign=sign_read)
            return await source.by_signature(signature.read_bytes(), newest=newest, patience_s=wait_s)

    out.write_bytes(asyncio.run(work()))
    print(f"{out}: check it with: twinlog verify DOCUMENT {out} --signature {signature} --certificate … --policy …")


@app.command()
def disclose(
    receipt: Annotated[Path, typer.Argument(help="A receipt that `sign` keeps.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write what may be given away.")],
    field: Annotated[list[str] | None, typer.Option(help="A field to open; document unless said.")] = None,
) -> None:
    """Write a receipt that opens only some fields, for a reader who need not know the others."""
    fields = field or ["document"]
    write_private(out, disclosed(receipt.read_bytes(), fields))
    print(f"{out}: opens {', '.join(fields)}")


def is_event_receipt(raw: bytes) -> bool:
    """Whether a file is the receipt of an event, given or kept."""
    try:
        event_extra(TlogProof.parse(raw))
    except Malformed:
        return False
    return True


def statement(proven: ProvenEvent) -> str:
    """Say in a few lines what a receipt proves."""
    event = proven.event
    logged = vouching.date(proven.timestamp_ms)
    who = vouching.who(proven.origin, proven.size, proven.signed_ms, proven.witnesses, proven.missing)
    if proven.provisional:
        lines = ["PROVISIONAL: one side. The policy's quorum is not met."]
    elif proven.document_verified:
        lines = ["VERIFIED: this document."]
    else:
        lines = ["VERIFIED: the receipt; which document it is of was not looked at."]
    lines.append(
        f"logged as entry {proven.index} of {proven.origin} at {logged} by {proven.submitter}, as {event.type} at "
        f"{encode_minute(event.at_ms)}; {who}"
    )
    if event.ca is not None:
        which = "committed to, not opened" if proven.certificate is None else f"SHA-256 {proven.certificate.hex()}"
        lines.append(
            f"signer's certificate: of {event.ca} ({event.signer_jurisdiction}), {which}; {proven.certificate_standing}"
        )
    if proven.certificate_logged_ms is not None:
        moment = vouching.date(proven.certificate_logged_ms)
        lines.append(f"that certificate is logged where the event says, since {moment}")
    if proven.signature_verified:
        lines.append(f"the signature over it verifies ({event.signature_algorithm})")
    return "\n".join(lines)


def _send(file: Path, held: Held, to: str, key: MemberKey | None, authority: str, policy: Path | None) -> None:
    if key is None:
        raise AssertionError("a request is signed")
    try:
        answer = asyncio.run(_ask(to, held.batch, key, authority))
    except LogError as error:
        print(f"{file}: kept; send it again with: twinlog event send {file} --to {to} --member-key …")
        raise error from None
    _keep(file, held, answer, policy)


async def _ask(to: str, batch: EventBatch, key: MemberKey, authority: str) -> EventResults:
    async with httpx.AsyncClient() as client:
        return await send_events(client, to, batch, key, authority)


def _keep(file: Path, held: Held, answer: EventResults, policy: Path | None) -> None:
    """Verify the receipt, keep it, and only then let go of the file that waits for it."""
    if len(held.openings) != 1:
        raise SettingsError(f"{file}: of {len(held.openings)} events, where one is kept at a time")
    (receipt,) = held.receipts(answer)
    if isinstance(receipt, str):
        print(f"{file}: refused: {receipt}")
        raise typer.Exit(1)
    said = "" if policy is None else f"\n{statement(_verified(receipt, policy))}"
    target = _receipt_file(file)
    write_private(target, receipt)
    file.unlink()
    print(f"{target}: receipt and openings, for the owner of this machine{said}")


def _verified(receipt: bytes, policy: Path) -> ProvenEvent:
    return verify_receipt(receipt, Policy.parse(policy.read_bytes()), provisional=True)


def _receipt_file(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(HELD) + RECEIPT)


def _unsigned(_: str) -> dict[str, str]:
    return {}


def _key(member: str, file: Path | None) -> MemberKey:
    if file is None:
        raise SettingsError("a request is signed: --member-key FILE")
    return MemberKey.load(member, file)


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{name}: given as NAME=VALUE")
    return name, int(value) if name in {"seal_version", "key_bits"} and value.isdigit() else value
