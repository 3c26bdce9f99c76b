"""People and organisations with a certificate and its key, who sign documents."""

from dataclasses import dataclass
from functools import cache
from random import Random

from log.demo.ca import Tree, leaf_profile
from log.demo.issuing import Key, Suite, distinguished

NOW_MS = 1_795_853_700_000  # 2026-11-28T08:15Z
YEAR_MS = 365 * 86_400_000


@dataclass(frozen=True)
class Signer:
    """A key and its certificate."""

    key: Key
    certificate: bytes  # DER
    issuers: tuple[bytes, ...]  # DER, root last

    def sign(self, document: bytes) -> bytes:
        return self.key.sign(document)


@cache
def tree(suite: Suite) -> Tree:
    """The CAs of one suite; the same for all that is signed in one process."""
    return Tree.make(NOW_MS, Random(4), (suite,))


@cache
def signer(suite: Suite, name: str = "Harbour Sample Trading Limited (synthetic)", serial: int = 77) -> Signer:
    """Make a signer whose certificate has this common name."""
    ca = tree(suite).branches[suite]
    key = Key.generate(suite)
    validity = (NOW_MS - 30_000, NOW_MS + YEAR_MS + 30_000)
    profile = leaf_profile(distinguished(("CN", name)), key.spki, ca.key.spki, serial, validity)
    return Signer(key, ca.issue(profile), ca.issuers)
