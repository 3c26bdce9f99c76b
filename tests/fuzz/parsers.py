"""Every parser of bytes that come from outside: how it is called, and what may come out of it.

A parser raises `Malformed`, or what else its docstring names, or returns a value; where a value has one spelling, it
encodes to the bytes that were read. Anything else is a finding. `covers` names the functions that a parser here calls,
so that a test finds a new one in `log.formats`, `log.certs` or `log.merkle.tiles` that nobody fuzzes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from log.api import handlers_read, handlers_rfc6962
from log.api.handlers_submit import parse_chain
from log.certs import certificate, der, precert, trustlist
from log.certs.chain import Anchor, ChainChecker
from log.checking.messages import Frames
from log.client import pem, submit
from log.client.exchange import Answer, printable
from log.client.held import Held
from log.client.receipts import Receipt
from log.crypto import suites
from log.crypto.ecdsa import EcdsaVerifier
from log.crypto.notes import verify_note
from log.crypto.sm2 import SPKI_PREFIX, Sm2Key, sm2_available
from log.errors import BadProof, BadSignature, LogError, Malformed, Refused, SuiteUnavailable, VerificationError
from log.evidence import actions
from log.evidence import objects as evidence
from log.evidence.check import check
from log.evidence.heads import Head
from log.formats import text, tile_leaf
from log.formats.action_list import ActionSummary, parse_next_seq, parse_rows
from log.formats.checkpoint import parse_signed
from log.formats.family import FAMILIES
from log.formats.note import KeyType, Note, VKey
from log.formats.policy import Policy
from log.formats.sct import SCT
from log.formats.tree_head import signed_tree_head
from log.governance.chains import Signed
from log.merkle import tiles
from log.merkle.frontier import Frontier
from monitor import feeder, guard
from tests.evidence.samples import PINNED
from tests.formats.catalogue import FORMATS, Format
from tests.support import authorities

CORPUS = Path(__file__).parent / "corpus"
MAX_BYTES = 64 << 10  # of one input: no parser knows a length field that needs more to be written wrong


@dataclass(frozen=True)
class Parser:
    """One parser. `check` returns whether the bytes were taken; it fails on what may not happen."""

    check: Callable[[bytes], bool]
    covers: tuple[str, ...] = ()  # `module:name`, below `log.`


def _strict(form: Format) -> Callable[[bytes], bool]:
    """What is read was written so."""

    def check(data: bytes) -> bool:
        try:
            value = form.parse(data)
        except Malformed:
            return False
        assert form.encode(value) == data
        return True

    return check


def _lax(read: Callable[[bytes], Any], *errors: type[LogError]) -> Callable[[bytes], bool]:
    """What is read is no crash."""
    allowed: tuple[type[LogError], ...] = (Malformed, *errors)

    def check(data: bytes) -> bool:
        try:
            read(data)
        except allowed:
            return False
        return True

    return check


def _text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _policy(data: bytes) -> None:
    policy = Policy.parse(data)
    assert Policy.parse(policy.encode()) == policy


def _certificate(data: bytes) -> None:
    parsed = certificate.parse(data)
    assert parsed.der == data
    for name, value in vars(certificate.Certificate).items():
        if isinstance(value, property):
            getattr(parsed, name)
    suites.weak_hash(parsed.signature_algorithm)


def _tbs(data: bytes) -> None:
    certificate.boundaries(data)
    for strip in (precert.strip_poison, precert.strip_sct_list):
        try:
            stripped = strip(data)
        except Malformed:
            continue
        certificate.boundaries(stripped)
        assert len(stripped) < len(data)


def _precert(data: bytes) -> None:
    """Two certificates, one behind the other: a precertificate and its issuer."""
    _, _, end = der.read(data, 0, len(data))
    leaf, issuer = certificate.parse(data[:end]), certificate.parse(data[end:])
    precert.embedded_scts(leaf)
    precert.defang(leaf, [issuer, issuer])


def _der(data: bytes) -> None:
    content = der.whole(data, der.SEQUENCE)
    rest = der.children(content, 0, len(content))
    again = b"".join(der.encode(tag, content[start:stop]) for tag, _, start, stop in rest)
    assert der.encode(der.SEQUENCE, again) == data


def _dotted(data: bytes) -> None:
    assert der.oid(der.dotted(data)) == data


def _oid(dotted: str) -> None:
    assert der.dotted(der.oid(dotted)) == dotted


def _numbered(path: str) -> None:
    assert tiles.numbered(*tiles.parse_numbered(path)) == path


def _tile(path: str) -> None:
    level, _, number = path.partition("/")
    assert tiles.parse_tile(level, number).path() == f"tile/{path}"


def _frontier(data: bytes) -> None:
    size = int.from_bytes(data[:8])
    assert Frontier.decode(size, data[8:]).encode() == data[8:]


def _rows(data: bytes) -> None:
    """A row, read by each of the functions that read by offset: all agree on whether it is one."""
    for family in FAMILIES.values():
        try:
            leaf, time_ms, index, fingerprints = family.measure(data)
        except Malformed:
            continue
        _, again_ms, again_index = family.parts(data)
        assert (time_ms, index) == (again_ms, again_index)
        assert leaf == family.leaf_input(data)
        assert fingerprints == b"".join(family.fingerprints(data))
        family.keys(data)
    tile_leaf.row_certificate(data)
    tile_leaf.leaf_entry(data, [])


@cache
def _checker() -> ChainChecker:
    anchors = []
    for path in sorted((CORPUS / "certificate").iterdir()):
        data = path.read_bytes()
        try:
            listed = certificate.parse(data).self_issued
        except Malformed:
            continue
        anchors += [Anchor(data)] if listed else []
    return ChainChecker(anchors, allow_precert_signing=True)


def _chain(data: bytes) -> None:
    """A chain as DER certificates end to end, the first byte says by which way they come."""
    chain, at = [], 1
    while at < len(data):
        _, _, end = der.read(data, at, len(data))
        chain.append(data[at:end])
        at = end
    _checker().check(chain, precert=data[:1] == b"p")


def _frames(data: bytes) -> None:
    """However a stream is cut, its frames are the same."""
    whole, cut = Frames(), Frames()
    assert whole.feed(data) == [body for at in range(0, len(data), 101) for body in cut.feed(data[at : at + 101])]


def _sct_answer(data: bytes) -> None:
    SCT.from_json(submit.parse_sct(data))


_KEY = VKey.make("log.example", KeyType.ED25519, bytes(range(32)))
_TREE_HEAD = VKey.make("log.example", KeyType.TREE_HEAD, b"a key")
_GENESIS_HASH = authorities.genesis().hash


def _signed(data: bytes) -> None:
    verify_note(Note.parse(data), [_KEY])


def _sth(data: bytes) -> None:
    signed_tree_head(data, _TREE_HEAD)


def _head(raw: bytes) -> Head:
    note, checkpoint = parse_signed(raw)
    return Head(checkpoint.origin, checkpoint.size, checkpoint.root, (), note.encode(), raw)


def _sm2(data: bytes) -> None:
    if not sm2_available():
        raise Malformed("this machine has no SM2")
    key = bytes.fromhex(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
    )
    Sm2Key.from_spki(SPKI_PREFIX + key).verify(b"message digest", data)


def _ecdsa(data: bytes) -> None:
    size = int.from_bytes(data[:1])
    EcdsaVerifier(data[1 : 1 + size]).verify(b"message", data[1 + size :])


def _issuer_key(data: bytes) -> None:
    key = suites.load_issuer_key(data)
    for algorithm in suites.SUITES:
        try:
            key.verify(algorithm, b"tbs", data[:72])
        except (BadSignature, SuiteUnavailable):
            continue
        raise AssertionError("a signature that nobody made verifies")


def _gzip(data: bytes) -> None:
    handlers_read.accepts_gzip([(b"accept-encoding", data)])


def _query(data: bytes) -> None:
    for read in (handlers_read._query, lambda query: handlers_rfc6962._query(query, "start", "end")):
        try:
            read(data)
        except Malformed:
            continue


def _pem(data: bytes) -> None:
    for found in pem._of_pem(data.splitlines(keepends=True)):
        if isinstance(found, Malformed):
            raise found


def _receipt(data: bytes) -> None:
    Receipt.parse(data)


def _held(data: bytes) -> None:
    assert Held.parse(data).encode() == data


def _trustlist(data: bytes) -> None:
    """A list and its note, split at the first NUL."""
    listed, _, note = data.partition(b"\0")
    trustlist.verify(listed, note, [_KEY], 1)


_FORMAT_COVERS = {
    "decimal": "formats.text:decimal",
    "base64": "formats.text:b64decode",
    "note": "formats.note:Note.parse",
    "signature lines": "formats.note:parse_signature_lines",
    "vkey": "formats.note:VKey.parse",
    "checkpoint": "formats.checkpoint:Checkpoint.parse",
    "timestamped signature": "formats.cosignature:decode_timestamped",
    "tree head signature": "formats.tree_head:decode_tree_head_signature",
    "tile leaf": "formats.tile_leaf:TileLeaf.parse",
    "data tile": "formats.tile_leaf:split_data_tile",
    "bundle": "formats.bundle:split_bundle",
    "entry": "formats.event:Entry.parse",
    "minute": "formats.fields:parse_minute",
    "openings": "formats.commitment:parse_openings",
    "event": "formats.signature_event:Event.parse",
    "logged event": "formats.logged_event:LoggedEvent.parse",
    "event batch": "formats.event_batch:EventBatch.parse",
    "event results": "formats.event_batch:EventResults.parse",
    "entry extra": "formats.tlog_proof:EntryExtra.parse",
    "event extra": "formats.tlog_proof:EventExtra.parse",
    "extensions": "formats.sct:parse_extensions",
    "digitally signed": "formats.sct:split_digitally_signed",
    "sct": "formats.sct:SCT.parse",
    "sct list": "formats.sct:parse_sct_list",
    "tlog-proof": "formats.tlog_proof:TlogProof.parse",
    "x509 extra": "formats.tlog_proof:X509Extra.parse",
    "add-checkpoint": "formats.witness_request:AddCheckpoint.parse",
    "guard push": "formats.guard_push:GuardPush.parse",
    "identity": "formats.identity:Identity.parse",
    "action": "formats.action:Action.parse",
    "genesis": "formats.genesis:Genesis.parse",
    "trust bundle": "formats.trust_bundle:TrustBundle.parse",
    "key id": "formats.signature_base:KeyId.parse",
    "content digest": "formats.signature_base:parse_digest",
    "signature base": "formats.signature_base:SignatureBase.parse",
    "submission": "formats.submission:Submission.parse",
    "jcs": "formats.jcs:parse",
}

PARSERS: dict[str, Parser] = {
    name.replace(" ", "-"): Parser(_strict(form), (_FORMAT_COVERS[name],) if name in _FORMAT_COVERS else ())
    for name, form in FORMATS.items()
} | {
    "policy": Parser(_lax(_policy), ("formats.policy:Policy.parse",)),
    "certificate": Parser(_lax(_certificate), ("certs.certificate:parse",)),
    "tbs": Parser(_lax(_tbs), ("certs.precert:strip_poison", "certs.precert:strip_sct_list")),
    "precert": Parser(_lax(_precert), ("certs.precert:embedded_scts", "certs.precert:defang")),
    "der": Parser(_lax(_der), ("certs.der:read", "certs.der:whole", "certs.der:children")),
    "dotted": Parser(_lax(_dotted), ("certs.der:dotted",)),
    "oid": Parser(_lax(_text(_oid)), ("certs.der:oid",)),
    "trust-list": Parser(
        _strict(Format(trustlist.TrustList.parse, trustlist.TrustList.encode, FORMATS["jcs"].values)),
        ("certs.trustlist:TrustList.parse", "formats.fields:parse_date", "formats.fields:parse_date_or_none"),
    ),
    "signed-trust-list": Parser(_lax(_trustlist, VerificationError), ("certs.trustlist:verify",)),
    "signed-action": Parser(_lax(Signed.parse)),
    "chain": Parser(_lax(_chain, Refused)),
    "issuer-key": Parser(_lax(_issuer_key, Refused)),
    "ecdsa": Parser(_lax(_ecdsa, BadSignature)),
    "sm2": Parser(_lax(_sm2, BadSignature)),
    "rows": Parser(
        _lax(_rows), ("formats.tile_leaf:measure", "formats.tile_leaf:leaf_entry", "formats.event:parse_event")
    ),
    "signed-note": Parser(_lax(_signed, BadSignature), ("formats.checkpoint:parse_signed",)),
    "signed-tree-head": Parser(_lax(_sth), ("formats.tree_head:signed_tree_head",)),
    "text-lines": Parser(
        _strict(Format(text.decode_lines, text.encode_lines, FORMATS["jcs"].values)),
        ("formats.text:decode_text", "formats.text:decode_lines"),
    ),
    "tile-number": Parser(_lax(_text(_numbered)), ("merkle.tiles:parse_number", "merkle.tiles:parse_numbered")),
    "tile-path": Parser(_lax(_text(_tile)), ("merkle.tiles:parse_tile",)),
    "frontier": Parser(_lax(_frontier), ("merkle.frontier:Frontier.decode",)),
    "frames": Parser(_lax(_frames)),
    "add-chain": Parser(_lax(parse_chain)),
    "query": Parser(_lax(_query)),
    "accept-encoding": Parser(_lax(_gzip)),
    "sct-answer": Parser(_lax(_sct_answer), ("formats.sct:SCT.from_json",)),
    "receipt": Parser(_lax(_receipt)),
    "held-events": Parser(_lax(_held)),
    "pem": Parser(_lax(_pem)),
    "said": Parser(_lax(lambda data: printable(data.decode("utf-8", "replace")))),
    "evidence": Parser(_lax(lambda data: evidence.check(data, _head), BadProof, BadSignature)),
    "evidence-of-any-kind": Parser(_lax(lambda data: check(data, PINNED), VerificationError)),
    "guard-answer": Parser(_lax(lambda data: guard._states(Answer(200, data)))),
    "named-size": Parser(_lax(lambda data: feeder._named_size(Answer(409, data)))),
    "action-evidence": Parser(_lax(lambda data: actions.check(data, _GENESIS_HASH), VerificationError)),
    "action-summary": Parser(_lax(ActionSummary.parse), ("formats.action_list:ActionSummary.parse",)),
    "action-list": Parser(_lax(parse_rows), ("formats.action_list:parse_rows",)),
    "named-seq": Parser(_lax(parse_next_seq), ("formats.action_list:parse_next_seq",)),
}


def seed_name(data: bytes) -> str:
    """Return the name of a corpus file."""
    return sha256(data).hexdigest()[:16]
