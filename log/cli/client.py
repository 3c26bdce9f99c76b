"""Commands of whoever uses a log: get, prove, verify, upgrade."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated

import httpx
import typer

from log.certs.certificate import parse as certificate_of
from log.cli import events, vouching
from log.cli.options import FamilyName, PolicyFile, TokenFile, Url, connect
from log.client import pem
from log.client.event_verifier import verify_event, verify_receipt
from log.client.http import HttpLog
from log.client.proofs import ProofSource
from log.client.proofs import upgrade as upgraded
from log.client.receipts import SUFFIX, Receipt, walk
from log.client.recognition import Said
from log.client.submit import Submitter
from log.client.trust import Judged, Trust
from log.client.verifier import Proven, verify_proof
from log.errors import LogError, NotFound, SettingsError
from log.folders import write_private
from log.formats.checkpoint import Checkpoint, is_rehearsal, parse_signed
from log.formats.family import EVENTS, FAMILIES, X509
from log.formats.note import Note
from log.formats.policy import Policy
from log.formats.text import b64decode
from log.formats.tlog_proof import TlogProof

app = typer.Typer()


@app.command()
def get(
    url: Url,
    what: Annotated[str, typer.Argument(help="checkpoint, witnessed, roots, or the index of an entry")] = "checkpoint",
    family: FamilyName = "x509",
    token_file: TokenFile = None,
) -> None:
    """Print a head, the number of roots, or an entry (hex) of a log. Nothing is verified here."""

    async def work() -> None:
        async with connect(url, token_file) as client:
            reader = HttpLog(url, FAMILIES[family], client)
            if what == "checkpoint":
                sys.stdout.write((await reader.checkpoint()).decode())
            elif what == "witnessed":
                sys.stdout.write((await reader.witnessed() or b"no witnessed head yet\n").decode())
            elif what == "roots":
                async with Submitter(url) as submitter:
                    print(f"{await submitter.roots()} roots")
            elif what.isascii() and what.isdigit():
                index, size = int(what), Checkpoint.parse(Note.parse(await reader.checkpoint()).text).size
                if index >= size:
                    raise NotFound(f"the log has {size} entries, the first is 0")
                (row,) = await reader.entries(index, index + 1, size)
                print(row.hex())
            else:
                raise SettingsError(
                    f"cannot get {what!r}: it is checkpoint, witnessed, roots, or the index of an entry"
                )

    asyncio.run(work())


@app.command()
def prove(
    url: Url,
    certificate: Annotated[Path, typer.Argument(help="The certificate, DER or PEM.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write; FILE.tlog-proof by default.")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Take a provisional proof: one side only.")] = False,
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the witnesses.")] = 30,
) -> None:
    """Fetch a finished proof that a certificate is logged."""

    async def work() -> None:
        der = pem.read(certificate)[0]
        async with connect() as client:
            proof = await ProofSource(url, client).by_certificate(der, newest=newest, patience_s=wait_s)
        target = out or certificate.with_suffix(".tlog-proof")
        target.write_bytes(proof)
        lines = ", ".join(dict.fromkeys(line.name for line in Note.parse(TlogProof.parse(proof).checkpoint).signatures))
        print(f"{target}: written, its head under the lines of {lines}")
        print(f"check it with: twinlog verify {target} {certificate} --policy POLICY")

    asyncio.run(work())


@app.command()
def verify(
    first: Annotated[Path, typer.Argument(metavar="DOCUMENT|PROOF", help="A signed document; or a .tlog-proof.")],
    second: Annotated[
        Path, typer.Argument(metavar="RECEIPT|CERTIFICATE", help="The document's receipt; or the certificate in hand.")
    ],
    policy: Annotated[
        Path | None, typer.Option("--policy", "-p", help="A tlog-policy file: the logs and witnesses you rely on.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--trust", help="Instead of a policy: a trust bundle, and the genesis you rely on.")
    ] = None,
    genesis: Annotated[str, typer.Option(help="Base64 SHA-256 of that genesis.")] = "",
    provisional: Annotated[bool, typer.Option("--provisional", help="Accept the word of one side.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="Of a document: the signer's certificate, if its receipt does not open it.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(help="Of a document: the signature's value, to be verified over it too.")
    ] = None,
    certificate_proof: Annotated[
        Path | None, typer.Option(help="Of a document: the .tlog-proof of its signer's certificate.")
    ] = None,
) -> None:
    """Verify a document with its receipt, or a certificate with its proof, offline. Exit 1 when it does not hold."""
    if bundle is not None and not genesis:
        raise SettingsError("--genesis: a bundle counts from a genesis that you rely on")
    trust = None if bundle is None else Trust.open(bundle.read_bytes(), b64decode(genesis, 32))
    now_ms = time.time_ns() // 1_000_000
    receipt = second.read_bytes()
    if events.is_event_receipt(receipt):
        document = first.read_bytes()
        signer = None if certificate is None else pem.read(certificate)[0]
        value = None if signature is None else signature.read_bytes()
        logged = _judged(
            receipt,
            *(policy, trust),
            lambda relied_on: verify_event(
                receipt,
                document,
                relied_on,
                certificate=signer,
                signature=value,
                certificate_proof=None if certificate_proof is None else certificate_proof.read_bytes(),
                provisional=provisional,
            ),
        )
        print(events.statement(logged))
        if trust is not None and signer is not None:
            said = {"signed": logged.event.at_ms, "logged": logged.timestamp_ms, "now": now_ms}
            print("\n".join(_recognition(trust, signer, said)))
        return
    if (certificate, signature, certificate_proof) != (None, None, None):
        raise SettingsError(f"--certificate, --signature, --certificate-proof: {second} is no receipt of an event")
    proof, der = first.read_bytes(), pem.read(second)[0]
    proven = _judged(
        proof,
        *(policy, trust),
        lambda relied_on: verify_proof(proof, der, relied_on, provisional=provisional),
    )
    print(_statement(proven))
    if trust is not None:
        dates = {"issued": certificate_of(der).not_before_ms, "logged": proven.timestamp_ms, "now": now_ms}
        print("\n".join(_recognition(trust, der, dates)))


def _judged(raw: bytes, policy: Path | None, trust: Trust | None, verify: Callable[[Policy], Judged]) -> Judged:
    """Verify a proof by a policy file, or by what governance says of the proof's own time."""
    if (policy is None) == (trust is None):
        raise SettingsError("say by what to verify: --policy, or --trust with --genesis")
    if trust is None:
        return verify(Policy.parse(policy.read_bytes() if policy else b""))
    _, checkpoint = parse_signed(TlogProof.parse(raw).checkpoint)
    return trust.judge(checkpoint.origin, verify)


def _recognition(trust: Trust, der: bytes, dates: Mapping[str, int]) -> Iterator[str]:
    """Say what both sides' lists said of a certificate on each date, one line a date; they may differ."""
    yield "What trust lists say of the certificate, which its being logged does not imply:"
    for what, date_ms in dates.items():
        found = trust.recognition(der, date_ms)
        sides = "; ".join(map(_of_side, found.sides))
        yield f"  {what}, {vouching.date(date_ms)}: mutually recognised: {found.mutual}; {sides}"


def _of_side(said: Said) -> str:
    types = ", ".join(f"{name} {status}" for name, status in sorted(said.types.items()))
    issuer = f"issuer {said.issuer_id} {said.issuer}" if said.issuer_id else "issuer not listed"
    return f"{said.side}: {issuer}, {types or 'no type'}"


@app.command()
def upgrade(
    files: Annotated[
        list[Path],
        typer.Argument(help="Receipts (.sct.json) of `submit` or folders of them, or provisional .tlog-proof files."),
    ],
    policy: PolicyFile,
    url: Annotated[str, typer.Option(help="The log's URL; receipts know it.")] = "",
    certificate: Annotated[Path | None, typer.Option(help="The certificate of a .tlog-proof.")] = None,
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the witnesses.")] = 30,
) -> None:
    """Make vouched proofs of provisional ones: each is fetched, verified under the policy, then written."""
    relied_on = Policy.parse(policy.read_bytes())

    async def one(client: httpx.AsyncClient, file: Path) -> str:
        if file.name.endswith(SUFFIX):
            receipt = Receipt.parse(file.read_bytes())
            source = ProofSource(url or receipt.url, client)
            raw = await source.by_certificate(receipt.certificate, patience_s=wait_s)
            proven = verify_proof(raw, receipt.certificate, relied_on)
            file.with_name(file.name.removesuffix(SUFFIX) + ".tlog-proof").write_bytes(raw)
            return _statement(proven)
        old = file.read_bytes()
        if url and events.is_event_receipt(old):
            raw, logged = await upgraded(
                old,
                lambda raw, one_side: verify_receipt(raw, relied_on, provisional=one_side),
                HttpLog(url, EVENTS, client),
            )
            write_private(file, raw)
            return events.statement(logged)
        if certificate is None or not url:
            raise SettingsError("a .tlog-proof is upgraded with --url, that of a certificate with --certificate too")
        der = pem.read(certificate)[0]
        raw, proven = await upgraded(
            old,
            lambda raw, one_side: verify_proof(raw, der, relied_on, provisional=one_side),
            HttpLog(url, X509, client),
        )
        file.write_bytes(raw)
        return _statement(proven)

    async def work() -> int:
        failed = 0
        async with connect() as client:
            for file in chain.from_iterable(map(walk, files)):
                try:
                    print(f"{file}: {await one(client, file)}")
                except LogError as error:
                    failed = 1
                    print(f"{file}: {error}", file=sys.stderr)
        return failed

    raise typer.Exit(asyncio.run(work()))


def _statement(proven: Proven) -> str:
    """Say in one sentence what a proof proves."""
    where = f"logged as entry {proven.index} of {proven.origin} at {vouching.date(proven.timestamp_ms)}"
    if not proven.sct_verified:
        where += " (the signature of its SCT was not looked at: the policy has no key of the log for that)"
    who = vouching.who(proven.origin, proven.size, proven.signed_ms, proven.witnesses, proven.missing)
    if is_rehearsal(proven.origin):
        return f"REHEARSAL: nothing in this log counts. {where}"
    if proven.provisional:
        return f"PROVISIONAL: one side. {where}; {who}: the policy's quorum is not met"
    return f"VERIFIED: {where}; {who}"
