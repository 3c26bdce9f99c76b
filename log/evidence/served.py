"""PURE: bytes that a log served and that do not lead to its signed root (E8, monitoring.md §5.4).

    {"heads": [note], "kind": "E8", "log", "place", "served": base64 | null, "sha256": hash, "type", "vantages": [text]}

The head is signed; what was served is our word and that of the vantages that are named. So it proves nothing by itself:
it says what to fetch again, from where, and what is to be found wrong there. Of hash tiles of which nothing tells which
one is wrong, `place` names all, with ` + ` between them, and their bytes follow one another. `served` is left out when
it is longer than `MAX_SERVED` bytes; its SHA-256 is always there.
"""

from collections.abc import Sequence
from hashlib import sha256

from log.errors import BadProof, Malformed
from log.evidence.heads import Head, Kind
from log.evidence.objects import Read, named, opened, read_log, statement, strings
from log.formats import jcs
from log.formats.names import EVIDENCE
from log.formats.note import VKey
from log.formats.text import b64decode, b64encode
from log.merkle.hashing import HASH_SIZE

MAX_SERVED = 65_536  # bytes that an object holds of what was served
MAX_PLACE = 200  # characters


def unreproducible(
    origin: str, vkeys: Sequence[VKey], head: Head, place: str, served: bytes, vantages: Sequence[str]
) -> bytes:
    """Write E8: at `place` (a path below the log's URL) these bytes were served, as seen from `vantages`."""
    return statement(
        Kind.UNREPRODUCIBLE,
        log=named(origin, vkeys),
        heads=[b64encode(head.note)],
        place=place[:MAX_PLACE],
        served=b64encode(served) if len(served) <= MAX_SERVED else None,
        sha256=b64encode(sha256(served).digest()),
        vantages=[*sorted(set(vantages))],
    )


def check(data: bytes, read: Read) -> tuple[Head, str, list[str]]:
    """Return the head, the place and the vantages. `Malformed`, `BadSignature` or `BadProof` when it says nothing."""
    match jcs.parse(data):
        case {
            "heads": [str(note)],
            "log": about,
            "place": str(place),
            "served": served_text,
            "sha256": str(digest_text),
            "vantages": [*vantages],
            **rest,
        } if rest == {"type": EVIDENCE, "kind": Kind.UNREPRODUCIBLE.value} and len(place) <= MAX_PLACE:
            head, digest, names = opened(note, read), b64decode(digest_text, HASH_SIZE), strings(vantages)
        case _:
            raise Malformed("not evidence of what was served")
    read_log(about)
    if served_text is not None and not isinstance(served_text, str):
        raise Malformed("what was served is base64")
    served = None if served_text is None else b64decode(served_text)
    if served is not None and (len(served) > MAX_SERVED or sha256(served).digest() != digest):
        raise BadProof("what was served is not what its hash says")
    if names != sorted(set(names)) or not names:
        raise Malformed("vantages are named once each, in order")
    return head, place, names
