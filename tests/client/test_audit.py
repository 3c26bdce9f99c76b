"""The auditor finds nothing in a sound log, and in any other the byte that is wrong."""

import datetime as dt
from collections.abc import Sequence
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from log.certs import certificate, precert
from log.client.audit import Limits, Report, audit, audit_index
from log.crypto.notes import NoteSigner
from log.errors import BadSignature, Malformed, Mismatch, NotFound
from log.formats.family import GOVERNANCE, X509, Family, Parts, precert_parts, x509_parts
from log.formats.names import ENTRY_FORMAT
from log.formats.wire import u16
from log.merkle.hashing import leaf_hash
from tests.support.memory_log import (
    COSIGNATURE,
    ED25519,
    ISSUERS,
    START_MS,
    TREE_HEAD,
    MemoryLog,
    certificates,
)

ONE_TILE = Limits(tiles_per_read=1)


def events(count: int) -> list[Parts]:
    return [Parts(u16(ENTRY_FORMAT) + u16(1), b"event %d" % i) for i in range(count)]


async def mismatch(served: MemoryLog, *, deep: bool = False) -> Mismatch:
    """Audit with and without a change of chunk size; both must find the same byte."""
    found = []
    for limits in (ONE_TILE, Limits()):
        with pytest.raises(Mismatch) as caught:
            await audit(served, served.family, [TREE_HEAD.vkey], deep=deep, limits=limits)
        found.append((caught.value.where, caught.value.offset))
    assert found[0] == found[1]
    return caught.value


async def signed(count: int = 600, family: Family = X509) -> MemoryLog:
    served = MemoryLog(family, certificates(count) if family is X509 else events(count))
    await served.sign()
    return served


# --- sound logs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [X509, GOVERNANCE])
@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 600, 1_024, 1_025])
async def test_a_sound_log_passes_at_every_size(family: Family, size: int) -> None:
    served = await signed(size, family)
    expected = Report(
        origin="log.example/test",
        size=size,
        root=served.root(),
        timestamp_ms=START_MS + max(size - 1, 0),
        entries=size,
        bytes=sum(len(row) for row in served.rows),
        issuers=2 if size and family is X509 else 0,
    )
    assert await audit(served, family, [TREE_HEAD.vkey]) == expected
    assert await audit(served, family, [TREE_HEAD.vkey], limits=ONE_TILE) == expected


async def test_an_audit_reads_every_hash_that_the_tree_has() -> None:
    served = await signed(66_000, GOVERNANCE)
    await audit(served, GOVERNANCE, [TREE_HEAD.vkey])
    assert set(served.reads) == {
        *((0, n) for n in range(258)),
        (1, 0),
        (1, 1),
        (2, 0),
    }


@pytest.mark.parametrize("signers", [[ED25519], [COSIGNATURE], [TREE_HEAD, ED25519, COSIGNATURE]])
async def test_a_head_may_tell_its_time_in_seconds_or_not_at_all(signers: Sequence[NoteSigner]) -> None:
    served = await signed(5)
    report = await audit(served, X509, await served.sign(signers=signers))
    assert report.timestamp_ms == {
        ED25519: None,
        COSIGNATURE: START_MS // 1000 * 1000 + 999,
        TREE_HEAD: START_MS + 4,
    }.get(signers[0])


async def test_each_issuer_is_read_once_or_anew_when_memory_is_short() -> None:
    root, first, second = b"root", b"first issuer", b"second issuer"
    digests = [sha256(each).digest() for each in (first, second)]
    chains = [[digest, sha256(root).digest()] for digest in digests]
    served = MemoryLog(X509, [x509_parts(b"certificate %d" % i, chains[i % 2]) for i in range(10)])
    served.blobs = {sha256(each).digest(): each for each in (root, first, second)}
    await served.sign()
    assert (await audit(served, X509, [TREE_HEAD.vkey])).issuers == served.blob_reads == 3
    served.blob_reads = 0
    report = await audit(served, X509, [TREE_HEAD.vkey], limits=Limits(issuers=1))
    assert report.issuers == served.blob_reads == 10 * 2  # every chain drives the other out


# --- hash tiles and heads ---------------------------------------------------------------------------------

LARGE = MemoryLog(GOVERNANCE, events(66_000))


@settings(deadline=None, max_examples=10)
@example(0, 5 * 8192 + 100)  # not the first tile of its read
@example(0, 66_000 * 32 - 1)
@given(st.integers(0, 2), st.integers(0))
async def test_a_changed_byte_of_any_hash_tile_is_named(level: int, at: int) -> None:
    await LARGE.sign(root=SOUND_ROOT)
    served = LARGE.levels[level]
    at %= len(served)
    served[at] ^= 0x40
    try:
        wrong = await mismatch(LARGE)
    finally:
        served[at] ^= 0x40
    n, offset = divmod(at, 8192)
    width = min(256, (66_000 >> 8 * level) - n * 256)
    number = f"{n:03}" if width == 256 else f"{n:03}.p/{width}"
    assert (wrong.where, wrong.offset) == (f"tile/{level}/{number}", offset)
    assert wrong.found[:2] == f"{int(wrong.expected[:2], 16) ^ 0x40:02x}"


SOUND_ROOT = LARGE.root()


async def test_a_tile_above_names_a_tile_below_that_was_rewritten_with_its_entry() -> None:
    served = await signed(70_000, GOVERNANCE)
    root = served.root()
    above = [bytes(level) for level in served.levels[1:]]
    served.rows[300] += b"!"
    served.rebuild([leaf_hash(row) for row in served.rows])
    served.levels[1:] = [bytearray(level) for level in above]
    await served.sign(root=root)
    wrong = await mismatch(served)
    assert (wrong.where, wrong.offset // 32) == ("tile/1/000", 1)


async def test_a_head_over_another_tree_is_named() -> None:
    served = await signed()
    await served.sign(root=sha256(b"another tree").digest())
    wrong = await mismatch(served)
    assert (wrong.where, wrong.offset) == ("checkpoint", len("log.example/test\n600\n"))


async def test_a_head_by_an_unknown_key_is_no_head() -> None:
    served = await signed()
    with pytest.raises(BadSignature):
        await audit(served, X509, [ED25519.vkey])


# --- entries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [X509, GOVERNANCE])
@pytest.mark.parametrize("index", [0, 255, 256, 511, 512, 599])
async def test_a_changed_entry_is_named_and_not_its_tile(family: Family, index: int) -> None:
    served = await signed(600, family)
    row = served.rows[index]
    served.rows[index] = row[:13] + bytes([row[13] ^ 1]) + row[14:]
    wrong = await mismatch(served)
    number = f"{index // 256:03}" if index < 512 else "002.p/88"
    tile = family.join(served.rows[index // 256 * 256 :][:256])
    assert wrong.where == f"tile/{family.tile}/{number}"
    assert tile[wrong.offset :].startswith(served.rows[index])
    assert leaf_hash(family.leaf_input(row)).hex() in wrong.expected


async def test_an_entry_that_does_not_read_is_named() -> None:
    served = await signed()
    served.rows[300] = served.rows[300][:-1]
    wrong = await mismatch(served)
    assert (wrong.where, wrong.offset) == ("tile/data/001", sum(map(len, served.rows[256:300])))


async def test_an_entry_that_names_another_index_is_named_to_the_byte() -> None:
    served = await signed()
    parts, timestamp_ms, _ = X509.parts(served.rows[300])
    served.rows[300] = X509.place(parts, 301, timestamp_ms).row
    served.rebuild([leaf_hash(X509.leaf_input(row)) for row in served.rows])
    await served.sign()
    wrong = await mismatch(served)
    index_end = len(X509.leaf_input(served.rows[300])) - 2
    assert (wrong.where, wrong.offset) == (
        "tile/data/001",
        sum(map(len, served.rows[256:300])) + index_end - 1,
    )
    assert (wrong.expected[:2], wrong.found[:2]) == (f"{300 & 255:02x}", f"{301 & 255:02x}")


@pytest.mark.parametrize("signer", [TREE_HEAD, COSIGNATURE])
async def test_an_entry_younger_than_its_head_is_named(signer: NoteSigner) -> None:
    served = await signed(3)
    vkeys = await served.sign(timestamp_ms=START_MS + 1, signers=[signer])
    parts, _, _ = X509.parts(served.rows[2])
    served.rows[2] = X509.place(parts, 2, START_MS + 1_000).row
    served.rebuild([leaf_hash(X509.leaf_input(row)) for row in served.rows])
    vkeys = await served.sign(timestamp_ms=START_MS + 1, signers=[signer])
    with pytest.raises(Mismatch) as caught:
        await audit(served, X509, vkeys)
    assert caught.value.where == "tile/data/000.p/3"
    row_start = len(served.rows[0]) + len(served.rows[1])
    assert row_start <= caught.value.offset < row_start + 8


async def test_an_issuer_that_does_not_resolve_is_named() -> None:
    served = await signed()
    digest = sha256(ISSUERS[1]).digest()
    del served.blobs[digest]
    assert (await mismatch(served)).where == f"issuer/{digest.hex()}"


async def test_an_issuer_with_another_hash_is_named() -> None:
    served = await signed()
    digest = sha256(ISSUERS[0]).digest()
    served.blobs[digest] = ISSUERS[1]
    wrong = await mismatch(served)
    assert wrong.where == f"issuer/{digest.hex()}"
    assert wrong.found == sha256(ISSUERS[1]).hexdigest()


async def test_what_is_not_there_at_all_says_so() -> None:
    served = await signed()
    del served.rows[500:]
    with pytest.raises((NotFound, Malformed)):
        await audit(served, X509, [TREE_HEAD.vkey])
    served = await signed()
    del served.levels[0][-32:]
    with pytest.raises(NotFound):
        await audit(served, X509, [TREE_HEAD.vkey])


async def test_answers_of_another_length_are_malformed() -> None:
    class FewRows(MemoryLog):
        async def entries(self, start: int, end: int, size: int) -> list[bytes]:
            return (await super().entries(start, end, size))[:-1]

    class FewHashes(MemoryLog):
        async def hashes(self, level: int, start: int, end: int, size: int) -> bytes:
            return (await super().hashes(level, start, end, size))[:-1]

    for kind in (FewRows, FewHashes):
        served = kind(X509, certificates(3))
        with pytest.raises(Malformed):
            await audit(served, X509, await served.sign())


# --- deep -------------------------------------------------------------------------------------------------


def issue(subject: str, key: ec.EllipticCurvePrivateKey, *, poisoned: bool) -> bytes:
    """Return a certificate by one CA, `key`: its own root, or a precertificate."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    ca = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA (synthetic)")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name if poisoned else ca)
        .issuer_name(ca)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(ca=not poisoned, path_length=None), critical=True)
    )
    if poisoned:
        builder = builder.add_extension(x509.PrecertPoison(), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


async def precert_log(*, wrong_tbs: bool = False, wrong_key: bool = False, wrong_precert: bool = False) -> MemoryLog:
    key = ec.derive_private_key(0xCA, ec.SECP256R1())
    root, poisoned = issue("CA", key, poisoned=False), issue("leaf", key, poisoned=True)
    key_hash, tbs = precert.defang(certificate.parse(poisoned), [certificate.parse(root)])
    if wrong_tbs:
        tbs = tbs[:-1] + bytes([tbs[-1] ^ 1])
    if wrong_key:
        key_hash = sha256(b"").digest()
    if wrong_precert:
        poisoned = root
    served = MemoryLog(X509, [*certificates(2), precert_parts(key_hash, tbs, poisoned, [sha256(root).digest()])])
    served.blobs[sha256(root).digest()] = root
    await served.sign()
    return served


async def test_a_precertificate_that_leads_to_its_entry_passes_the_deep_audit() -> None:
    served = await precert_log()
    assert (await audit(served, X509, [TREE_HEAD.vkey], deep=True)).issuers == 3


async def test_an_entry_that_does_not_follow_from_its_precertificate_is_named_by_the_deep_audit() -> None:
    for served, where in (
        (await precert_log(wrong_key=True), 8 + 2),
        (await precert_log(wrong_tbs=True), None),
        (await precert_log(wrong_precert=True), 0),
    ):
        await audit(served, X509, [TREE_HEAD.vkey])
        wrong = await mismatch(served, deep=True)
        start = len(served.rows[0]) + len(served.rows[1])
        tbs_end = len(X509.leaf_input(served.rows[2])) - 2 - 10 - 1
        assert wrong.where == "tile/data/000.p/3"
        assert wrong.offset == start + (tbs_end if where is None else where)


# --- index ------------------------------------------------------------------------------------------------


class MemoryIndex:
    def __init__(self, served: MemoryLog) -> None:
        self.reached = served.size
        self.keys = {key: i for i, row in enumerate(served.rows) for key in served.family.keys(row)}

    async def size(self) -> int:
        return self.reached

    async def get(self, key: bytes) -> int | None:
        return self.keys.get(key)


@pytest.mark.parametrize("family", [X509, GOVERNANCE])
async def test_a_sound_index_passes(family: Family) -> None:
    served = await signed(1_100, family)
    assert await audit_index(served, family, MemoryIndex(served)) == 1_100 * (3 if family is X509 else 2)


async def test_an_index_answers_for_the_size_that_it_has_reached() -> None:
    served = await signed()
    index = MemoryIndex(served)
    index.reached = 200
    for row in served.rows[200:]:
        for key in X509.keys(row):
            del index.keys[key]
    assert await audit_index(served, X509, index) == 200 * 3


@pytest.mark.parametrize("found", [None, 4, 600, -1])
async def test_a_key_that_leads_elsewhere_is_named(found: int | None) -> None:
    served = await signed()
    index = MemoryIndex(served)
    key = X509.keys(served.rows[599])[2]
    if found is None:
        del index.keys[key]
    else:
        index.keys[key] = found
    with pytest.raises(Mismatch) as caught:
        await audit_index(served, X509, index)
    assert (caught.value.where, caught.value.expected) == (f"index/{key.hex()}", "599")
    assert caught.value.found == str(found)


async def test_entries_that_share_a_key_may_be_found_by_either() -> None:
    twice = certificates(1)[0]
    served = MemoryLog(X509, [twice, *certificates(3)[1:], twice])
    index = MemoryIndex(served)
    assert index.keys[X509.keys(served.rows[0])[0]] == 3
    assert await audit_index(served, X509, index) == 12
