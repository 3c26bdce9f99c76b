"""What a witness answers to add-checkpoint, decided from values alone (C2SP tlog-witness, HEAD).

    order  check                                                              answer
    1      syntax; a checkpoint without extension lines                       400
    2      the origin is known                                                404
    3      every line of its keys verifies; a line of each key type of 0x01,  403
           0x05 and 0x06 that the log has is there, and 0x01 or 0x06 is
    4      old <= size                                                        400
    5      size 0 has the root of the empty tree                              422
    6      old is the size cosigned last, 0 before the first                  409 with that size
    7      from old 0 nothing to prove; same size, same root; or the proof    422

The caller reads the state, asks, and when told to cosign swaps the state before the cosignature leaves. All
three happen for one origin at a time, or two requests could roll the state back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from log.client.verifier import verify_extends
from log.crypto.notes import WITNESSED_TYPES, open_head
from log.errors import BadProof, BadSignature, Malformed
from log.formats.checkpoint import Checkpoint, is_rehearsal, parse_signed
from log.formats.note import VKey
from log.formats.witness_request import SIZE_CONTENT_TYPE, AddCheckpoint
from log.merkle.hashing import EMPTY_ROOT

TEXT = "text/plain; charset=utf-8"
NOT_WITNESSED = "without a key of type 0x01 or 0x06 a log is not witnessed"  # a 0x05 line does not name its log


@dataclass(frozen=True, slots=True)
class Cosign:
    """The checkpoint extends what was cosigned last: cosign the text of `note`."""

    checkpoint: Checkpoint
    note: bytes  # the checkpoint with the log's verified lines alone: nothing of strangers is passed on


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP."""

    status: int
    body: bytes
    content_type: str
    fork: bool = False  # the log signed another root at the size cosigned last: keep both notes as evidence


def decide(request: AddCheckpoint, known: Mapping[str, Sequence[VKey]], last: Checkpoint | None) -> Cosign | Answer:
    """Decide a request for one origin.

    `known` holds the keys of each origin that is witnessed here, `last` the checkpoint of the request's
    origin that was cosigned last, None before the first.
    """
    try:
        _, checkpoint = parse_signed(request.note)
    except Malformed as e:
        return _refuse(HTTPStatus.BAD_REQUEST, str(e))
    if checkpoint.extensions:
        return _refuse(HTTPStatus.BAD_REQUEST, "extension lines are not witnessed")
    vkeys = known.get(checkpoint.origin)
    if vkeys is None:
        return _refuse(HTTPStatus.NOT_FOUND, "this witness does not know that origin")
    try:
        opened = open_head(request.note, vkeys)
    except BadSignature as e:
        return _refuse(HTTPStatus.FORBIDDEN, str(e))
    if not any(line.vkey.type in WITNESSED_TYPES for line in opened.verified):
        return _refuse(HTTPStatus.FORBIDDEN, NOT_WITNESSED)
    refusal = _extends(request, checkpoint, last)
    return refusal or Cosign(checkpoint, opened.reduced().encode())


def check_witnessable(origin: str, vkeys: Sequence[VKey]) -> None:
    """Raise `Malformed` unless these can be the keys of a log that is to be witnessed (tlog-witness).

    All are named by the origin, and one is of type 0x01 or 0x06. A rehearsal log is witnessed by nobody.
    """
    if is_rehearsal(origin):
        raise Malformed(f"{origin} is a rehearsal log: nothing there counts, so nobody vouches for it")
    for vkey in vkeys:
        if vkey.name != origin:
            raise Malformed(f"{vkey.name} is another name than the origin {origin}")
    if not any(vkey.type in WITNESSED_TYPES for vkey in vkeys):
        raise Malformed(NOT_WITNESSED)


def _extends(request: AddCheckpoint, checkpoint: Checkpoint, last: Checkpoint | None) -> Answer | None:
    """Return None when a signed checkpoint extends the last one, else the answer that says why not."""
    if last is not None and last.origin != checkpoint.origin:
        raise AssertionError(f"the state of {last.origin} was read for {checkpoint.origin}")
    if request.old > checkpoint.size:
        return _refuse(HTTPStatus.BAD_REQUEST, "the old size is above the checkpoint's")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        return _refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "size 0 with a root that is not the empty tree's")
    if last is None:
        last = Checkpoint(checkpoint.origin, 0, EMPTY_ROOT)
    fork = checkpoint.size == last.size and checkpoint.root != last.root
    if request.old != last.size:
        return Answer(HTTPStatus.CONFLICT, b"%d\n" % last.size, SIZE_CONTENT_TYPE, fork)
    try:
        verify_extends(last, checkpoint, request.proof)
    except BadProof as e:
        return _refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(e), fork=fork)
    return None


def _refuse(status: HTTPStatus, reason: str, *, fork: bool = False) -> Answer:
    return Answer(status, f"{status.phrase}\n{reason}\n".encode(), TEXT, fork)
