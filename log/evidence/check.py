"""PURE: what an evidence object of whatever kind proves to somebody who has pinned whom it is about.

Nothing is taken from the object but what its signatures and hashes carry: keys are the verifier's own. Evidence about
somebody whose keys are not pinned proves nothing to this verifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from log.errors import BadSignature, Malformed
from log.evidence import actions, cosigned, objects, promises, served
from log.evidence.heads import Head, Kind, read_head
from log.formats import jcs
from log.formats.dates import date
from log.formats.identity import Identity
from log.formats.note import VKey
from log.formats.text import b64decode


@dataclass(frozen=True, slots=True)
class Pinned:
    """Whom a verifier knows, and by which keys."""

    logs: Sequence[Identity] = ()
    witnesses: Sequence[VKey] = ()
    genesis: bytes | None = None  # its SHA-256

    def log(self, value: jcs.JSON) -> Identity:
        """Return the pinned identity of the log that an object names; `BadSignature` where there is none."""
        origin, _ = objects.read_log(value)
        for identity in self.logs:
            if identity.origin == origin:
                return identity
        raise BadSignature(f"the keys of {origin[:200]} are not pinned here")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an object shows."""

    kind: Kind
    proven: bool  # False for what is only suspected: somebody saw it, and no signature says it
    subject: str  # an origin, a witness's name, or `chain <name> seq <seq>`
    text: str  # a sentence for people


def check(data: bytes, pinned: Pinned) -> Verdict:
    """Return what the object proves.

    `Malformed` for what is no evidence, a `VerificationError` (`BadSignature`, `BadProof`, `PolicyNotMet`) for what
    proves nothing under the pinned keys.
    """
    value = jcs.parse(data)
    if not isinstance(value, dict):
        raise Malformed("evidence is an object")
    try:
        kind = Kind(value["kind"])
    except (KeyError, ValueError) as e:
        raise Malformed("evidence of no known kind") from e
    match kind:
        case Kind.SAME_SEQ:
            if pinned.genesis is None:
                raise BadSignature("no genesis is pinned here")
            chain, seq = actions.check(data, pinned.genesis)
            text = f"Two different decisions were signed as number {seq} of chain {chain}."
            return Verdict(kind, True, f"chain {chain} seq {seq}", text)
        case Kind.COSIGNED_BOTH:
            return _witness(data, value.get("witness"), pinned)
    known = pinned.log(value.get("log"))

    def read(raw: bytes) -> Head:
        return read_head(raw, known.origin, known.vkeys)[0]

    match kind:
        case Kind.UNREPRODUCIBLE:
            head, place, vantages = served.check(data, read)
            text = (
                f"{', '.join(vantages)} saw {known.origin} serve bytes at {place} that do not lead to the tree of"
                f" {head.size} entries which it signed. Only whoever fetches them again can know."
            )
            return Verdict(kind, False, known.origin, text)
        case Kind.BROKEN_PROMISE | Kind.LATE | Kind.TIME_LIE:
            _, head, time_ms, index = promises.check(data, read, known.vkeys)
            return Verdict(
                kind, True, known.origin, _PROMISES[kind].format(known.origin, head.size, index, date(time_ms))
            )
    objects.check(data, read)
    return Verdict(kind, True, known.origin, _HEADS[kind].format(known.origin))


def is_whole(data: bytes, pinned: Pinned) -> bool:
    """Say whether an object that `check` took is the one that a monitor with these pins writes of its heads.

    One lie has one object then, and nobody makes many of it by lines and keys that prove nothing.
    """
    value = jcs.parse(data)
    if not isinstance(value, dict) or "log" not in value:
        return True  # of witnesses and authorities `check` takes no other form
    known = pinned.log(value["log"])
    heads = value.get("heads")
    notes = [b64decode(text) for text in heads if isinstance(text, str)] if isinstance(heads, list) else []
    return value["log"] == objects.named(known.origin, known.vkeys) and all(
        read_head(note, known.origin, known.vkeys)[0].note == note for note in notes
    )


_HEADS = {
    Kind.SAME_SIZE: "{} signed two different histories of the same length.",
    Kind.CROSS_SIZE: "{} signed a longer history that does not contain the shorter one which it signed too.",
    Kind.ROLLBACK: "{} signed a shorter history after a longer one: entries were taken away.",
    Kind.SAME_TIME: "{} signed two histories of different length for one and the same moment.",
}
_PROMISES = {
    Kind.BROKEN_PROMISE: "{0} promised at {3} a certificate as entry {2}, and has another one there.",
    Kind.LATE: "{0} promised at {3} a certificate as entry {2}, and when the time for it was over had {1} entries.",
    Kind.TIME_LIE: "{0} has an entry {2} of {3}, later than its own signature over the history that contains it.",
}


def _witness(data: bytes, named: jcs.JSON, pinned: Pinned) -> Verdict:
    for witness in pinned.witnesses:
        if witness.encode() == named:
            one, two = cosigned.check(data, witness)
            text = (
                f"Witness {witness.name} vouched for two histories of {one.origin} that exclude each other,"
                f" of {one.size} and {two.size} entries."
            )
            return Verdict(Kind.COSIGNED_BOTH, True, witness.name, text)
    raise BadSignature("the key of the witness is not pinned here")
