"""Whom a verifier trusts on which date, out of a trust bundle: pure, from the genesis hash on.

A proof is judged by the policy of its own time, which is that of the newest cosignature by which it meets it (of its
leaf, where one side's word is enough). So a proof made today verifies by today's bundle and by every later one,
whatever keys, witnesses and quorums come after. Nobody goes back: a bundle takes the place of another only when it
holds every action of that one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from log.client.recognition import Recognition, recognition
from log.client.verifier import verify_identity
from log.errors import BadSignature, LogError, PolicyNotMet, VerificationError
from log.formats.policy import Policy, PolicyLog
from log.formats.trust_bundle import TrustBundle
from log.governance.chains import Chains, Signed, arrange
from log.governance.fold import State, check_genesis
from log.governance.logs import ALL_LOGS
from log.governance.timeline import Timeline


class _Proven(Protocol):
    """What any verified proof says of time."""

    @property
    def timestamp_ms(self) -> int: ...
    @property
    def witnesses(self) -> tuple[tuple[str, int], ...]: ...


Judged = TypeVar("Judged", bound=_Proven)


@dataclass(frozen=True, slots=True)
class Trust:
    """A bundle all of which counts."""

    bundle: TrustBundle
    chains: Chains

    @classmethod
    def open(cls, data: bytes, genesis_hash: bytes) -> "Trust":
        """Check a bundle. `Malformed`; `VerificationError` for another genesis, or an action that does not count.

        `BadSignature` for an identity that is not signed by all its keys.
        """
        bundle = TrustBundle.parse(data)
        if bundle.genesis.hash != genesis_hash:
            raise VerificationError("this bundle begins with another genesis than the pinned one")
        check_genesis(bundle.genesis)
        brought = [Signed.parse(note.encode()) for notes in bundle.actions.values() for note in notes]
        chains = arrange(bundle.genesis, brought)
        for signed in brought:
            if not chains.counts(signed):
                raise VerificationError(f"the action {signed.action.chain} {signed.action.seq} does not count")
        for origin, raw in bundle.identities.items():
            if verify_identity(raw).origin != origin:
                raise BadSignature(f"the identity of {origin} is that of another log")
        return cls(bundle, chains)

    def check_after(self, other: "Trust") -> None:
        """Raise `VerificationError` unless every action of the other bundle is in this one: nobody goes back."""
        here = {signed.hash for signed in _all(self.chains)}
        for signed in _all(other.chains):
            if signed.hash not in here:
                raise VerificationError(
                    f"this bundle lacks {signed.action.chain} {signed.action.seq}: it is older than the one in use"
                )

    def recognition(self, der: bytes, date_ms: int) -> Recognition:
        """Return what both sides' lists said of a certificate on a date; before genesis, what it says of that date."""
        state = Timeline(self.chains).at(max(date_ms, self.bundle.genesis.created_ms))
        return recognition(der, state.trust_lists, date_ms)

    def judge(self, origin: str, verify: Callable[[Policy], Judged]) -> Judged:
        """Verify a proof of a log by the policy of its own time; newer policies are tried first.

        Raises what `verify` raised under the newest one, when no policy of the proof's time bears it out.
        """
        timeline = Timeline(self.chains)
        first: LogError | None = None
        for since_ms, until_ms in reversed(timeline.eras()):
            try:
                proven = verify(_policy(timeline.at(since_ms), origin))
            except VerificationError as error:
                first = first or error
                continue
            time_ms = max((time for _, time in proven.witnesses), default=proven.timestamp_ms)
            if since_ms <= time_ms < until_ms:
                return proven
            first = first or PolicyNotMet(f"what {origin} proves is of another time than the policy it meets")
        raise first or VerificationError("governance knows no log")


def _all(chains: Chains) -> list[Signed]:
    return [signed for chain in chains.chains.values() for signed in (*chain.actions, *chain.disputed)]


def _policy(state: State, origin: str) -> Policy:
    """Return by what a head of a log is judged; `VerificationError` when governance does not know it then."""
    entry = state.logs.get(origin)
    policy = state.policies.get(origin, state.policies.get(ALL_LOGS))
    if entry is None or policy is None:
        raise VerificationError(f"governance has {'no such log as' if entry is None else 'no policy for'} {origin}")
    known = {
        vkey.key: vkey for each in state.logs.values() for vkey in each.vkeys
    }  # also of logs that a proof refers to
    return replace(policy, logs=tuple(map(PolicyLog, known.values())))
