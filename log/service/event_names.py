"""Whether an event names only what is known here: the words that no list of `event_codes` fixes.

A CA and a type of certificate are named by their ids in a trust list, a platform by its id as a member of its side, a
log by its origin. Nothing else is taken where such a word stands, or a person's name or number could be logged in it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from log.certs.trustlist import TrustList
from log.errors import Refused
from log.formats.signature_event import Event

REASON = "unknown-name"  # the word for what is refused here


@dataclass(frozen=True, slots=True)
class Known:
    """What may be named now."""

    cas: Collection[str]
    types: Collection[str]
    origins: Collection[str]
    is_member: Callable[[str], bool]  # by <side>/<id>

    @classmethod
    def of(cls, lists: Iterable[TrustList], origins: Collection[str], is_member: Callable[[str], bool]) -> "Known":
        """Take ids out of the trust lists of all sides, whatever they say of them today."""
        held = tuple(lists)
        return cls(
            frozenset(issuer.id for each in held for issuer in each.issuers),
            frozenset(kind.id for each in held for kind in each.types),
            origins,
            is_member,
        )

    def check(self, event: Event, member: str) -> None:
        """Raise `Refused` for an event of a member (<side>/<id>) that names what is not known. No name is repeated."""
        if event.ca is not None and event.ca not in self.cas:
            raise Refused("its ca is on no trust list", REASON)
        if event.certificate_type is not None and event.certificate_type not in self.types:
            raise Refused("its certificate_type is on no trust list", REASON)
        if event.platform is not None and not self.is_member(f"{member.partition('/')[0]}/{event.platform}"):
            raise Refused("its platform is no member of its sender's side", REASON)
        if any(ref.origin not in self.origins for ref in event.refs):
            raise Refused("it refers to a log that is not known here", REASON)
