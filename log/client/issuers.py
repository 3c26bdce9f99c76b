"""Chains completed: which issuers belong behind a certificate that was kept without them."""

from collections.abc import Iterable, Sequence

from log.certs import certificate
from log.certs.certificate import Certificate
from log.crypto import suites
from log.errors import BadSignature, Refused


class Issuers:
    """Certificates of issuers, found by name. The log checks signatures; here they tell namesakes apart."""

    def __init__(self, issuers: Iterable[bytes], max_chain: int) -> None:
        """`issuers` are DER, `max_chain` certificates are the longest chain that is put together."""
        self._max_chain = max_chain
        self._by_subject: dict[bytes, list[Certificate]] = {}
        for der in dict.fromkeys(issuers):
            issuer = certificate.parse(der)
            self._by_subject.setdefault(issuer.subject, []).append(issuer)

    def complete(self, chain: Sequence[Certificate]) -> list[bytes]:
        """Return a chain (DER) with issuers appended, until none is known or a root is reached."""
        completed = list(chain)
        while len(completed) < self._max_chain and not completed[-1].self_issued:
            above = self._above(completed[-1])
            if above is None or above in completed:
                break
            completed.append(above)
        return [each.der for each in completed]

    def _above(self, last: Certificate) -> Certificate | None:
        """Return the issuer of a certificate; of several with its name, as after a change of keys, who signed."""
        named = self._by_subject.get(last.issuer, [])
        if len(named) < 2:
            return named[0] if named else None
        return next((issuer for issuer in named if _signed(last, issuer)), named[0])


def _signed(signed: Certificate, issuer: Certificate) -> bool:
    try:
        suites.load_issuer_key(issuer.spki).verify(signed.signature_algorithm, signed.tbs, signed.signature)
    except (BadSignature, Refused):
        return False
    return True
