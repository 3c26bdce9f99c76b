"""Whose submission this may be, told before its signature is checked: at a glance, and never wrong for what passes.

Only the key in the second certificate can have signed the first, so where that certificate has been seen in a chain
that passed, its digest names the issuer. Where the chain holds the leaf alone, a listed issuer with the name that
the leaf gives its issuer must have signed it. What this cannot tell it leaves open.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256

from log.certs import certificate, der
from log.errors import Malformed


class Claims:
    """What was learned of issuers. An issuer is the SHA-256 of the SPKI that signs."""

    def __init__(self, max_known: int) -> None:
        self._max_known = max_known
        self._listed: dict[str, dict[bytes, tuple[bytes, ...]]] = {}  # log -> subject -> issuers of that name
        self._known: OrderedDict[bytes, bytes] = OrderedDict()  # SHA-256 of a certificate -> its key's

    def list(self, log_name: str, anchors: Iterable[bytes]) -> None:
        """Take up the certificates (DER) under which a log admits."""
        names: dict[bytes, tuple[bytes, ...]] = {}
        for anchor in anchors:
            parsed = certificate.parse(anchor)
            key = sha256(parsed.spki).digest()
            names[parsed.subject] = (*names.get(parsed.subject, ()), key)
            self.learn(sha256(anchor).digest(), key)
        self._listed[log_name] = names

    def learn(self, digest: bytes, issuer: bytes) -> None:
        """Remember that the certificate with this SHA-256 holds this issuer's key. Only what passed comes here."""
        self._known[digest] = issuer
        self._known.move_to_end(digest)
        if len(self._known) > self._max_known:
            self._known.popitem(last=False)

    def of(self, log_name: str, chain: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return every issuer that may have signed the leaf; () when that shows only in the check."""
        if len(chain) > 1:
            known = self._known.get(sha256(chain[1]).digest())
            return () if known is None else (known,)
        name = _issuer_name(chain[0]) if chain else None
        return () if name is None else self._listed[log_name].get(name, ())


def _issuer_name(leaf: bytes) -> bytes | None:
    """Return the Name of the leaf's issuer (RFC 5280 section 4.1.2.4), DER; None for what is no certificate."""
    try:
        start, stop = der.expect(leaf, 0, len(leaf), der.SEQUENCE)
        _, end = der.expect(leaf, start, stop, der.SEQUENCE)
        tbs = leaf[start:end]
        _, _, issuer, validity, *_ = certificate.boundaries(tbs)
    except Malformed:
        return None
    return tbs[issuer:validity]
