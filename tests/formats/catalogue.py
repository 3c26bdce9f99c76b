"""Each format with its parser, its writer and values to write, for the properties and the fuzzers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from log.formats import jcs, text
from log.formats.action import Action
from log.formats.bundle import encode_bundle, split_bundle
from log.formats.checkpoint import Checkpoint
from log.formats.commitment import encode_openings, parse_openings
from log.formats.cosignature import decode_timestamped, encode_timestamped
from log.formats.event import Entry
from log.formats.event_batch import EventBatch, EventResults
from log.formats.family import GOVERNANCE, X509
from log.formats.fields import encode_minute, parse_minute
from log.formats.genesis import Genesis
from log.formats.guard_push import GuardPush
from log.formats.identity import Identity
from log.formats.logged_event import LoggedEvent
from log.formats.note import Note, VKey, parse_signature_lines, signature_line
from log.formats.sct import (
    SCT,
    digitally_signed,
    extensions,
    parse_extensions,
    parse_sct_list,
    split_digitally_signed,
)
from log.formats.signature_base import KeyId, SignatureBase, encode_digest, parse_digest
from log.formats.signature_event import Event
from log.formats.submission import Submission
from log.formats.tile_leaf import TileLeaf, split_data_tile
from log.formats.tlog_proof import EntryExtra, EventExtra, TlogProof, X509Extra
from log.formats.tree_head import decode_tree_head_signature, encode_tree_head_signature
from log.formats.trust_bundle import TrustBundle
from log.formats.wire import opaque16
from log.formats.witness_request import AddCheckpoint
from tests.formats import strategies as s


@dataclass(frozen=True)
class Format:
    """A parser, its writer, and values to write."""

    parse: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    values: st.SearchStrategy[Any]


def _of_class(cls: Any, values: st.SearchStrategy[Any]) -> Format:
    return Format(cls.parse, cls.encode, values)


def _decoded(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """A parser of `str`, fed with bytes; those that are not UTF-8 come as lone surrogates."""
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


FORMATS = {
    "decimal": Format(_decoded(text.decimal), lambda n: str(n).encode(), s.SIZES),
    "base64": Format(_decoded(text.b64decode), lambda b: text.b64encode(b).encode(), st.binary()),
    "note": _of_class(Note, s.NOTES),
    "signature lines": Format(
        parse_signature_lines, lambda lines: b"".join(map(signature_line, lines)), s.SIGNATURE_LINES
    ),
    "vkey": Format(_decoded(VKey.parse), lambda vkey: vkey.encode().encode(), s.vkeys()),
    "checkpoint": _of_class(Checkpoint, s.CHECKPOINTS),
    "timestamped signature": Format(
        decode_timestamped,
        lambda value: encode_timestamped(*value),
        st.tuples(s.SIZES, st.binary(min_size=64, max_size=64)),
    ),
    "tree head signature": Format(
        decode_tree_head_signature,
        lambda value: encode_tree_head_signature(*value),
        st.tuples(s.TIMES, st.binary(min_size=1, max_size=80)),
    ),
    "tile leaf": _of_class(TileLeaf, s.TILE_LEAVES),
    "data tile": Format(split_data_tile, b"".join, st.lists(s.TILE_LEAVES.map(TileLeaf.encode), max_size=4)),
    "bundle": Format(split_bundle, encode_bundle, st.lists(st.binary(max_size=40), max_size=5)),
    "x509 row": Format(
        X509.parts,
        lambda value: X509.place(value[0], value[2], value[1]).row,
        st.tuples(s.X509_PARTS, s.TIMES, s.INDEXES),
    ),
    "governance row": Format(
        GOVERNANCE.parts,
        lambda value: GOVERNANCE.place(value[0], 0, value[1]).row,
        st.tuples(s.ENTRY_PARTS, s.TIMES, st.none()),
    ),
    "entry": _of_class(Entry, s.ENTRIES),
    "minute": Format(_decoded(parse_minute), lambda ms: encode_minute(ms).encode(), s.MINUTES_MS),
    "openings": Format(parse_openings, encode_openings, s.OPENINGS),
    "event": _of_class(Event, s.EVENTS),
    "logged event": _of_class(LoggedEvent, s.LOGGED_EVENTS),
    "event batch": _of_class(EventBatch, s.EVENT_BATCHES),
    "event results": _of_class(EventResults, s.EVENT_RESULTS),
    "entry extra": _of_class(EntryExtra, s.ENTRY_EXTRAS),
    "event extra": _of_class(EventExtra, s.event_extras()),
    "extensions": Format(parse_extensions, extensions, s.INDEXES),
    "digitally signed": Format(split_digitally_signed, digitally_signed, st.binary(min_size=1, max_size=80)),
    "sct": _of_class(SCT, s.SCTS),
    "sct list": Format(
        parse_sct_list,
        lambda scts: opaque16(b"".join(map(opaque16, scts))),
        st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4),
    ),
    "tlog-proof": _of_class(TlogProof, s.PROOFS),
    "x509 extra": _of_class(X509Extra, s.EXTRAS),
    "add-checkpoint": _of_class(AddCheckpoint, s.REQUESTS),
    "guard push": _of_class(GuardPush, s.guard_pushes()),
    "identity": _of_class(Identity, s.identities()),
    "action": _of_class(Action, s.ACTIONS),
    "genesis": _of_class(Genesis, s.genesis()),
    "trust bundle": _of_class(TrustBundle, s.trust_bundles()),
    "key id": Format(_decoded(KeyId.parse), lambda key: key.encode().encode(), s.KEY_IDS),
    "content digest": Format(_decoded(parse_digest), lambda digest: encode_digest(digest).encode(), s.HASHES),
    "signature base": _of_class(SignatureBase, s.SIGNATURE_BASES),
    "submission": _of_class(Submission, s.SUBMISSIONS),
    "jcs": Format(jcs.parse, jcs.encode, s.JSON_VALUES),
}
