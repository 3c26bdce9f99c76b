"""What a log of certificates admits (RFC 6962 section 3.1): chains that end in a listed issuer, an *anchor*.

The submitted list is taken in its order; nothing is searched for. Each certificate must be signed by the
next, and the last must be an anchor byte for byte, or be signed by one. Every issuer on the way is a CA.
Validity, name constraints, path lengths, key usages and critical extensions are not looked at: admission is
not recognition, and what breaks those rules is what auditors look for.

What can be refused by looking is refused before any signature is checked. Links between issuers that have been
verified once are remembered, so that a usual submission costs one signature check.

The reasons of `Refused` are stable words: bad-signature, chain-too-long, explicit-parameters, md5, not-a-ca,
outside-window, poison, precert-signing, too-large, unknown-root, weak-hash, wrong-endpoint; issuer-key,
pss-parameters, suite-unavailable and unsupported-suite come from `log.crypto.suites`. What cannot be read is
`Malformed`.
"""

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Generic, TypeVar

from log.certs import certificate
from log.certs.certificate import Certificate
from log.certs.precert import defang
from log.crypto import suites
from log.errors import BadSignature, Malformed, Refused, TooLarge
from log.formats import family
from log.formats.family import Parts

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one submission may ask for, and what a checker remembers."""

    max_chain: int = 10  # certificates as submitted
    max_leaf_bytes: int = family.MAX_LEAF_SIZE  # of a MerkleTreeLeaf
    cached_issuers: int = 4096  # parsed certificates, about 2 kB each
    cached_links: int = 16384  # pairs of digests, about 200 bytes each


@dataclass(frozen=True, slots=True)
class Anchor:
    """A listed issuer, and whether SHA-1 signatures under it are admitted."""

    certificate: bytes  # DER
    weak_hash: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The notAfter dates that a shard takes: start_ms <= notAfter < end_ms."""

    start_ms: int
    end_ms: int

    def __contains__(self, not_after_ms: int) -> bool:
        return self.start_ms <= not_after_ms < self.end_ms

    def __str__(self) -> str:
        return f"{_date(self.start_ms)} <= notAfter < {_date(self.end_ms)}"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One certificate of a chain, with its digest and, when it is listed, its anchor."""

    certificate: Certificate
    digest: bytes  # SHA-256 of the certificate
    anchor: Anchor | None
    unfit: tuple[str, str] | None  # why it can be nobody's issuer: text and reason; not asked of a leaf


@dataclass(frozen=True, slots=True)
class Admitted:
    """A submission that this log takes."""

    parts: Parts
    leaf: Certificate
    signer: Certificate  # whose key signed the leaf; an anchor submitted as itself is its own
    issuer: Certificate  # who issued it, or will (precertificates); an anchor submitted as itself is its own
    anchor: Certificate
    certificates: tuple[tuple[bytes, bytes], ...]  # (SHA-256, DER) of each behind the leaf, anchor last


class ChainChecker:
    """Checks chains against a fixed set of anchors, for one thread; a new set means a new checker."""

    def __init__(
        self,
        anchors: Iterable[Anchor],
        *,
        allow_precert_signing: bool,
        window: Window | None = None,
        shards: Mapping[str, Window] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`shards` are the other shards of this log by name, to tell a submitter which of them to go to.

        An anchor that stands there twice is good for SHA-1 when either entry says so. Raises `Malformed` for
        an anchor that is no certificate.
        """
        self._limits = limits or Limits()
        self._allow_precert_signing = allow_precert_signing
        self._window = window
        self._shards = dict(shards or {})
        self._anchors: dict[bytes, Step] = {}
        for anchor in anchors:
            digest = sha256(anchor.certificate).digest()
            if digest not in self._anchors or anchor.weak_hash:
                parsed = certificate.parse(anchor.certificate)
                self._anchors[digest] = Step(parsed, digest, anchor, _unfit(parsed, listed=True))
        self._by_subject: dict[bytes, tuple[Step, ...]] = {}
        for step in self._anchors.values():
            subject = step.certificate.subject
            self._by_subject[subject] = (*self._by_subject.get(subject, ()), step)
        # Only what has been verified enters the memories, so that rubbish cannot drive out what is in use.
        self._issuers = _Memory[bytes, Step](self._limits.cached_issuers)
        self._links = _Memory[tuple[bytes, bytes], bool](self._limits.cached_links)

    def check(self, chain: Sequence[bytes], precert: bool) -> Admitted:
        """Return the entry that a submission (DER, leaf first) becomes. Computes only.

        Raises `Malformed`; `Refused`; `SuiteUnavailable`, a kind of it, when this machine lacks a suite.
        """
        path = self._path(chain, precert)
        ends = self._ends(path)
        if ends:
            path = (*path, self._find_end(path, ends))
        for n in range(len(path) - 1):
            self._check_link(path, n)
        for step in path[1:]:
            if step.anchor is None:
                self._issuers.put(step.digest, step)
        return self._admit(precert, path)

    def _path(self, chain: Sequence[bytes], precert: bool) -> tuple[Step, ...]:
        """Parse a submission and refuse what needs no signature to refuse."""
        if not chain:
            raise Malformed("the chain is empty")
        if len(chain) > self._limits.max_chain:
            raise Refused(f"{len(chain)} certificates; max_chain is {self._limits.max_chain}", "chain-too-long")
        path = tuple(self._step(der, n) for n, der in enumerate(chain))
        _check_endpoint(path[0].certificate, precert)
        self._check_window(path[0].certificate)
        for n, (signed, issuer) in enumerate(pairwise(path)):
            _check_issuer(n, signed, issuer)
        return path

    def _step(self, der: bytes, n: int) -> Step:
        digest = sha256(der).digest()
        known = self._anchors.get(digest) or self._issuers.get(digest)
        if known is not None:
            return known
        try:
            parsed = certificate.parse(der)
            return Step(parsed, digest, None, _unfit(parsed, listed=False) if n else None)
        except Malformed as e:
            raise Malformed(f"certificate {n}: {e}") from e

    def _check_window(self, leaf: Certificate) -> None:
        if self._window is None or leaf.not_after_ms in self._window:
            return
        text = f"this log takes {self._window}, and notAfter is {_date(leaf.not_after_ms)}"
        taker = next((name for name, window in self._shards.items() if leaf.not_after_ms in window), None)
        raise Refused(f"{text}: submit it to {taker}" if taker else text, "outside-window")

    def _ends(self, path: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return the anchors that may have signed the last certificate; () when it is one itself."""
        for n, step in enumerate(path[:-1]):
            if step.anchor is not None and step.certificate.self_issued:
                raise Refused(f"something stands behind certificate {n}, which is a listed root", "unknown-root")
        if path[-1].anchor is not None:
            return ()
        ends = self._by_subject.get(path[-1].certificate.issuer)
        if ends is None:
            raise Refused("the chain does not end at a listed issuer", "unknown-root")
        return ends

    def _find_end(self, path: tuple[Step, ...], ends: tuple[Step, ...]) -> Step:
        """Return the anchor that signed the last certificate: several may have its issuer's name."""
        refusals = []
        for end in ends:
            try:
                _check_issuer(len(path) - 1, path[-1], end)
                self._check_link((*path, end), len(path) - 1)
            except Refused as e:
                refusals.append(e)
            else:
                return end
        raise refusals[0]

    def _check_link(self, path: tuple[Step, ...], n: int) -> None:
        """Check that certificate n + 1 of a path signed certificate n."""
        signed, issuer = path[n], path[n + 1]
        algorithm = signed.certificate.signature_algorithm
        if algorithm != signed.certificate.tbs_algorithm:
            # RFC 5280 section 4.1.1.2. The outer one is not signed, so anyone could write another there.
            raise Refused(f"certificate {n} names two signature algorithms", "bad-signature")
        if suites.weak_hash(algorithm) and not _nearest_anchor(path, n + 1).weak_hash:
            raise Refused(f"certificate {n} is signed with SHA-1, its issuer is not listed for that", "weak-hash")
        link = (signed.digest, issuer.digest)
        if n and self._links.get(link):
            return
        key = suites.load_issuer_key(issuer.certificate.spki)
        try:
            key.verify(algorithm, signed.certificate.tbs, signed.certificate.signature)
        except BadSignature as e:
            raise Refused(f"certificate {n} is not signed by its issuer: {e}", "bad-signature") from e
        if n:
            self._links.put(link, True)

    def _admit(self, precert: bool, path: tuple[Step, ...]) -> Admitted:
        leaf, *issuers = (step.certificate for step in path)
        signer = issuer = issuers[0] if issuers else leaf
        digests = [step.digest for step in path[1:]]
        if precert:
            if issuer.is_precert_signing:
                issuer = self._final_issuer(issuers)
            issuer_key_hash, tbs = defang(leaf, issuers)
            parts = family.precert_parts(issuer_key_hash, tbs, leaf.der, digests)
        else:
            parts = family.x509_parts(leaf.der, digests)
        size = family.X509.leaf_size(parts)
        if size > self._limits.max_leaf_bytes:
            raise TooLarge(f"a MerkleTreeLeaf of {size} bytes; max_leaf_bytes is {self._limits.max_leaf_bytes}")
        return Admitted(
            parts,
            leaf,
            signer,
            issuer,
            path[-1].certificate,
            tuple((step.digest, step.certificate.der) for step in path[1:]),
        )

    def _final_issuer(self, issuers: list[Certificate]) -> Certificate:
        """Return who will issue the certificate whose precertificate a signing certificate signed."""
        if not self._allow_precert_signing:
            raise Refused("this log takes no Precertificate Signing Certificates", "precert-signing")
        if len(issuers) < 2:
            raise Refused("the issuer of the Precertificate Signing Certificate is missing", "precert-signing")
        return issuers[1]


def _check_endpoint(leaf: Certificate, precert: bool) -> None:
    """Check that the poison is there on add-pre-chain and not on add-chain (RFC 6962 section 3.1)."""
    is_precert = leaf.is_precert
    if precert and not is_precert:
        raise Refused("without a poison extension this is no precertificate: use add-chain", "wrong-endpoint")
    if is_precert and not leaf.poison_valid:
        raise Refused("the poison extension must stand there once, critical and NULL", "poison")
    if is_precert and not precert:
        raise Refused("the poison extension makes this a precertificate: use add-pre-chain", "wrong-endpoint")


def _check_issuer(n: int, signed: Step, issuer: Step) -> None:
    """Check what shows without a signature: that certificate `n` can be of this issuer."""
    if signed.certificate.issuer != issuer.certificate.subject:
        raise Refused(f"certificate {n} has another issuer than the next certificate's subject", "bad-signature")
    if issuer.unfit is not None:
        text, reason = issuer.unfit
        raise Refused(f"the issuer of certificate {n} {text}", reason)


def _unfit(issuer: Certificate, *, listed: bool) -> tuple[str, str] | None:
    """Say why a certificate cannot be an issuer's, or None. A list may name one that is no CA."""
    if issuer.explicit_parameters:
        return "spells out the curve of its key", "explicit-parameters"
    if not listed and not issuer.is_ca:
        return "is not a CA", "not-a-ca"
    return None


def _nearest_anchor(path: tuple[Step, ...], n: int) -> Anchor:
    """Return the first anchor of a path from certificate n on; it ends with one."""
    return next(step.anchor for step in path[n:] if step.anchor is not None)


def _date(time_ms: int) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class _Memory(Generic[_Key, _Value]):
    """The `limit` values put last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[_Key, _Value] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        self._values[key] = value
        if len(self._values) > self._limit:
            self._values.popitem(last=False)
