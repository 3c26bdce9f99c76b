"""The first corpus of each parser: values that our own writers wrote, `python -m tests.fuzz.seeds`. Nothing foreign.

A corpus is kept, not made anew: keys and signatures differ each time, and fuzzers have added to it.
"""

import json
import random
from base64 import b64encode as b64
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from log.certs import der
from log.certs.certificate import parse
from log.certs.trustlist import TrustList, note_text
from log.certs.trustlist_rows import Issuer
from log.checking.messages import Check, frame
from log.client.events import Opened
from log.client.held import Held
from log.demo.ca import Tree
from log.demo.issuing import Key
from log.evidence import actions
from log.evidence import objects as evidence
from log.evidence.heads import Kind
from log.formats.action import JOINT
from log.formats.sct import SCT, digitally_signed
from log.formats.text import b64encode
from log.governance.chains import arrange
from log.merkle import tiles
from tests.evidence.samples import samples
from tests.formats import strategies as s
from tests.formats.catalogue import FORMATS
from tests.fuzz.parsers import _KEY, CORPUS, PARSERS, _head, seed_name
from tests.support import authorities

NOW_MS = 1_767_225_600_000
EACH = 6  # values drawn for each format


def drawn(values: st.SearchStrategy[bytes], count: int = EACH) -> list[bytes]:
    """Return the smallest of many values that differ."""
    found: set[bytes] = set()

    @given(values)
    @settings(
        max_examples=60,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def draw(value: bytes) -> None:
        found.add(value)

    draw()
    ordered = sorted(found, key=lambda value: (len(value), value))
    return ordered[:: max(1, len(ordered) // count)][:count]


def formats() -> Iterator[tuple[str, bytes]]:
    for name, form in FORMATS.items():
        for value in drawn(form.values.map(form.encode)):
            yield name.replace(" ", "-"), value
    for value in drawn(s.policies().map(lambda policy: policy.encode().encode("utf-8", "surrogateescape"))):
        yield "policy", value
    for value in drawn(s.SIGNED):
        yield "signed-note", value
        yield "signed-tree-head", value
    for value in drawn(st.lists(s.LINES, max_size=4).map(lambda lines: "".join(f"{x}\n" for x in lines).encode())):
        yield "text-lines", value
    for name in ("tile leaf", "entry"):
        for value in drawn(FORMATS[name].values.map(FORMATS[name].encode)):
            yield "rows", value


def certificates() -> Iterator[tuple[str, bytes]]:
    tree = Tree.make(NOW_MS, random.Random(1), ("p256", "sm2"))
    for suite in tree.suites:
        chain = tree.issue(suite, 1)
        plain, signing = tree.precert(suite, 2), tree.precert(suite, 3, signing_certificate=True)
        final = tree.final(plain, [SCT(bytes(32), NOW_MS, 7, digitally_signed(b"0")).encode()])
        for each in (chain, plain, signing, final):
            ders = each.submitted
            for one in ders:
                yield "certificate", one
                yield "tbs", parse(one).tbs
                yield "issuer-key", parse(one).spki
                yield "der", one
                yield "pem", b"-----BEGIN CERTIFICATE-----\n" + b64(one) + b"\n-----END CERTIFICATE-----\n"
            yield "precert", ders[0] + ders[1]
            yield "chain", (b"p" if each in (plain, signing) else b"x") + b"".join(ders)
            yield "add-chain", json.dumps({"chain": [b64(one).decode() for one in ders]}).encode()
        root = tree.roots[0]
        issuer = Issuer("ca", root, "ca", NOW_MS, None, None, "", False, "", "", False)
        listed = TrustList(1, NOW_MS, (issuer,), ()).encode()
        yield "trust-list", listed
        note = note_text(1, listed) + b"\n" + "— log.example ".encode() + b64(_KEY.key_id + bytes(64)) + b"\n"
        yield "signed-trust-list", listed + b"\0" + note
        yield "frames", frame(Check(1, "x509", tuple(tree.issue(suite, 4).submitted), False)) * 2
    key = Key.generate("p256")
    yield "ecdsa", bytes([len(key.spki)]) + key.spki + key.sign(b"message")
    yield "sm2", der.encode(der.SEQUENCE, der.encode(der.INTEGER, b"\1"), der.encode(der.INTEGER, b"\2"))


def signed_actions() -> Iterator[tuple[str, bytes]]:
    start = authorities.genesis()
    freeze = authorities.Chainer(start, "hk").say("log-freeze", {"origin": "hk.example/x509", "reason": ""})
    policy = authorities.Chainer(start, JOINT).say("policy", {"origin": "*", "policy": "quorum none\n"})
    for signed in (freeze, policy):
        yield "signed-action", signed.note.encode()
        yield "action", signed.note.text
    yield "genesis", start.encode()

    twice = authorities.Chainer(start, "hk").say("log-freeze", {"origin": "hk.example/x509", "reason": "again"})
    yield "action-evidence", actions.encode(arrange(start, (freeze, twice)), (freeze, twice))
    yield "action-summary", json.dumps({"genesis": b64encode(start.hash), "digest": "0" * 64, "next": {}}).encode()
    yield "action-list", json.dumps([[1, freeze.hash.hex()], [1, twice.hash.hex()]]).encode()
    yield "named-seq", b"4\n"


def small() -> Iterator[tuple[str, bytes]]:
    for dotted in ("2.5.29.15", "1.3.6.1.4.1.11129.2.4.3", "2.16.344.8.2.2008.810.2.2018.1.1"):
        yield "dotted", der.oid(dotted)
        yield "oid", dotted.encode()
    for n, width in ((0, 256), (5, 3), (1234067, 255), (2**63 - 1, 256)):
        yield "tile-number", tiles.numbered(n, width).encode()
        yield "tile-path", f"3/{tiles.numbered(n, width)}".encode()
    yield "frontier", (5).to_bytes(8) + bytes(64)
    yield "query", b"leaf=" + b"00" * 32 + b"&head=newest"
    yield "query", b"start=0&end=255"
    yield "accept-encoding", b"br;q=1.0, gzip;q=0.000, identity"
    sct = SCT(bytes(32), NOW_MS, 7, digitally_signed(b"0")).to_json()
    yield "sct-answer", json.dumps(sct).encode()
    yield "receipt", json.dumps({"log": "https://log.example", "certificate": "MAA=", "sct": sct}).encode()
    yield "said", b"Bad Request\nno \x1b[2J reason\n"
    yield "named-size", b"17\n"
    yield "guard-answer", b'{"guarded":true,"origins":{"log.example":"ok"},"peers":{"other.example":"unguarded"}}'
    for value in drawn(s.opened_events().map(lambda opened: Held.one("hk/a", 1, Opened(*opened), None).encode())):
        yield "held-events", value
    heads = [_head(raw) for raw in drawn(s.SIGNED, 2)]
    for kind in Kind:
        yield "evidence", evidence.encode(kind, "log.example", [_KEY], (heads[0], heads[1]), [bytes(32)] * 8)
    for sample in samples().values():
        yield "evidence-of-any-kind", sample.data


def main() -> None:
    for parser, data in (*formats(), *certificates(), *signed_actions(), *small()):
        folder = CORPUS / parser
        folder.mkdir(parents=True, exist_ok=True)
        (folder / seed_name(data)).write_bytes(data)
    missing = set(PARSERS) - {folder.name for folder in CORPUS.iterdir()}
    print(f"{sum(1 for _ in CORPUS.rglob('*'))} files; without a corpus: {sorted(missing)}")


if __name__ == "__main__":
    main()
