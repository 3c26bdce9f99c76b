"""Who is listed, who is a member, whose keys count: the say of both sides' authorities, as of a date.

Nodes ask an `Authority`. Where a genesis is pinned it is the fold of the governance chains; a node without one has
signed files, whose values are passed in. Whoever lets members in asks `Members`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from log.certs.chain import Anchor
from log.certs.trustlist import TrustList
from log.formats.note import VKey
from log.governance.chains import Chains
from log.governance.fold import State
from log.governance.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Listed:
    """What is listed on a date."""

    trust_lists: Mapping[str, TrustList]  # by side: names such as `hk` and `gd`

    def anchors(self) -> tuple[Anchor, ...]:
        """Return every issuer that is or ever was on a list, or is observed, once (design section 5).

        Admission is not recognition: no date is looked at. SHA-1 is admitted where any list says so.
        """
        weak_hash: dict[bytes, bool] = {}
        for trust_list in self.trust_lists.values():
            for issuer in trust_list.issuers:
                weak_hash[issuer.certificate] = weak_hash.get(issuer.certificate, False) or issuer.weak_hash
        return tuple(Anchor(certificate, weak) for certificate, weak in weak_hash.items())


class Authority(Protocol):
    """Answers for any date."""

    def at(self, date_ms: int) -> Listed:
        """Return what is listed on a date, milliseconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class FileAuthority:
    """An authority out of trust lists that have been verified, and that keep their own history."""

    trust_lists: Mapping[str, TrustList] = field(default_factory=dict)  # by side

    def at(self, date_ms: int) -> Listed:  # noqa: ARG002 - of each date the lists tell themselves
        """Return what is listed on a date, milliseconds since 1970."""
        return Listed(self.trust_lists)


class Members(Protocol):
    """Who is a member, under which role and by which keys, as of a date. Members are named `<side>/<id>`."""

    def keys(self, member: str, date_ms: int) -> Sequence[VKey]:
        """Return the keys by which a member signs on a date; none of one that is suspended, or is no member."""
        ...

    def role(self, member: str, date_ms: int) -> str | None:
        """Return a member's role on a date, one of `log.access.MEMBERS`; None for whoever is no member."""
        ...


@dataclass(frozen=True, slots=True)
class Membership:
    """One member, for all dates."""

    role: str
    keys: tuple[VKey, ...]


@dataclass(frozen=True, slots=True)
class FixedMembers:
    """Members that are known beforehand; without any nobody is one."""

    members: Mapping[str, Membership] = field(default_factory=dict)  # by <side>/<id>

    def keys(self, member: str, date_ms: int) -> Sequence[VKey]:  # noqa: ARG002 - they hold for all dates
        """Return the keys of a member."""
        found = self.members.get(member)
        return () if found is None else found.keys

    def role(self, member: str, date_ms: int) -> str | None:  # noqa: ARG002 - it holds for all dates
        """Return the role of a member."""
        found = self.members.get(member)
        return None if found is None else found.role


class GovernedAuthority:
    """An authority out of the governance chains, as they are whenever it is asked."""

    def __init__(self, chains: Callable[[], Chains]) -> None:
        self._chains = chains
        self._timeline = Timeline(chains())

    def at(self, date_ms: int) -> Listed:
        """Return what is listed on a date, milliseconds since 1970."""
        return Listed(self.state(date_ms).trust_lists)

    def state(self, date_ms: int) -> State:
        """Return all that the chains say of a date."""
        chains = self._chains()
        if chains is not self._timeline.chains:
            self._timeline = Timeline(chains)
        return self._timeline.at(date_ms)


class GovernedMembers:
    """The members of all sides out of the governance chains."""

    def __init__(self, authority: GovernedAuthority) -> None:
        self._authority = authority

    def keys(self, member: str, date_ms: int) -> Sequence[VKey]:
        """Return the keys by which a member signs on a date; none of one that is suspended, or is no member."""
        return self._authority.state(date_ms).member_keys.get(member, ())

    def role(self, member: str, date_ms: int) -> str | None:
        """Return a member's role on a date; None for whoever is no member then, or is suspended."""
        state = self._authority.state(date_ms)
        found = state.members.get(member)
        return None if found is None or member in state.suspended_members else found.role
