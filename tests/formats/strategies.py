"""Values of every format, and encodings with something wrong in them."""

from hypothesis import strategies as st

from log.formats import jcs
from log.formats.action import JOINT, MAX_SEQ, Action
from log.formats.checkpoint import Checkpoint
from log.formats.event import Entry, Ref, action_entry, anchor_entry, genesis_entry
from log.formats.family import Parts, precert_parts, raw_parts, x509_parts
from log.formats.genesis import Authorities, Genesis, Initial
from log.formats.guard_push import GuardPush
from log.formats.identity import Identity
from log.formats.names import EntryType
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.policy import NO_QUORUM, Policy, PolicyGroup, PolicyLog, PolicyWitness
from log.formats.sct import SCT, digitally_signed
from log.formats.tile_leaf import PRECERT_ENTRY, X509_ENTRY, TileLeaf
from log.formats.tlog_proof import TlogProof, X509Extra
from log.formats.witness_request import AddCheckpoint

HASHES = st.binary(min_size=32, max_size=32)
SIZES = st.integers(0, 2**63 - 1)
TIMES = st.integers(0, 2**64 - 1)
INDEXES = st.integers(0, 2**40 - 1)

_CHARACTERS = st.characters(codec="utf-8", exclude_characters="".join(map(chr, range(0x20))))
LINES = st.text(_CHARACTERS, min_size=1, max_size=20)
NAMES = st.text(_CHARACTERS.filter(lambda c: c != "+" and not c.isspace()), min_size=1, max_size=20)

SIGNATURES = st.builds(Signature, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
SIGNATURE_LINES = st.lists(SIGNATURES, min_size=1, max_size=4).map(tuple)
CHECKPOINTS = st.builds(Checkpoint, LINES, SIZES, HASHES, st.lists(LINES, max_size=2).map(tuple))
TEXTS = st.lists(st.text(_CHARACTERS, max_size=20), min_size=1, max_size=5).map(
    lambda lines: "".join(f"{line}\n" for line in lines).encode()
)
NOTES = st.builds(Note, TEXTS, SIGNATURE_LINES)
SIGNED = st.builds(lambda checkpoint, lines: Note(checkpoint.encode(), lines).encode(), CHECKPOINTS, SIGNATURE_LINES)

_KEY_MATERIAL = {KeyType.ED25519: 32, KeyType.COSIGNATURE: 32, KeyType.MLDSA: 1312}


@st.composite
def vkeys(draw: st.DrawFn, name: str | None = None, types: tuple[KeyType, ...] = tuple(KeyType)) -> VKey:
    key_type = draw(st.sampled_from(types))
    size = _KEY_MATERIAL.get(key_type)
    # A long key is a repeated one: drawing 1,312 bytes is most of what Hypothesis allows an example.
    seed = draw(st.binary(min_size=32, max_size=32))
    key = seed if size is None else (seed * 41)[:size]
    return VKey.make(draw(NAMES) if name is None else name, key_type, key)


CERTIFICATES = st.binary(min_size=1, max_size=60)
FINGERPRINTS = st.lists(HASHES, max_size=3)
X509_PARTS = st.builds(x509_parts, CERTIFICATES, FINGERPRINTS) | st.builds(
    precert_parts, HASHES, CERTIFICATES, CERTIFICATES, FINGERPRINTS
)
ENTRY_PARTS = st.builds(
    Parts, st.sampled_from(EntryType).map(lambda t: b"\x4b\x47" + t.to_bytes(2)), st.binary(max_size=60)
)
RAW_PARTS = st.builds(raw_parts, st.binary(min_size=1, max_size=60))
TILE_LEAVES = st.builds(
    TileLeaf,
    TIMES,
    st.just(X509_ENTRY),
    CERTIFICATES,
    st.just(b""),
    INDEXES,
    st.just(b""),
    FINGERPRINTS.map(tuple),
) | st.builds(
    TileLeaf,
    TIMES,
    st.just(PRECERT_ENTRY),
    CERTIFICATES,
    HASHES,
    INDEXES,
    CERTIFICATES,
    FINGERPRINTS.map(tuple),
)

SCTS = st.builds(SCT, HASHES, TIMES, INDEXES, st.binary(min_size=1, max_size=80).map(digitally_signed))
EXTRAS = st.builds(X509Extra, st.just(X509_ENTRY), st.just(b""), SCTS.map(SCT.encode)) | st.builds(
    X509Extra, st.just(PRECERT_ENTRY), HASHES, SCTS.map(SCT.encode)
)
PROOF_HASHES = st.lists(HASHES, max_size=63).map(tuple)
PROOFS = st.builds(TlogProof, SIZES, PROOF_HASHES, SIGNED, st.none() | st.binary(min_size=1, max_size=40))
REQUESTS = st.builds(AddCheckpoint, SIZES, PROOF_HASHES, SIGNED)


def _head(origin: str, size: int, root: bytes, lines: tuple[Signature, ...]) -> bytes:
    return Note(Checkpoint(origin, size, root).encode(), lines).encode()


@st.composite
def guard_pushes(draw: st.DrawFn) -> GuardPush:
    own_origins = draw(st.lists(NAMES, max_size=3, unique=True))
    peer_origins = draw(st.lists(NAMES, max_size=3, unique=True))

    def head(origin: str) -> bytes:
        return _head(origin, draw(SIZES), draw(HASHES), draw(SIGNATURE_LINES))

    own = tuple(head(origin) for origin in own_origins)
    peers = tuple((origin, head(origin) if draw(st.booleans()) else None) for origin in peer_origins)
    return GuardPush(draw(NAMES), draw(SIZES), own, peers)


@st.composite
def identities(draw: st.DrawFn) -> Identity:
    origin = draw(NAMES)
    keys = draw(st.lists(vkeys(origin), min_size=1, max_size=4, unique_by=lambda k: (k.type, k.key_id)))
    return Identity.make(origin, keys)


JSON_VALUES: st.SearchStrategy[jcs.JSON] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

_OBJECTS = st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=3)
_IDENTIFIERS = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,9}\Z")
_DATES_MS = st.integers(0, 4_102_444_800).map(lambda seconds: seconds * 1000)
ACTIONS = st.builds(Action, HASHES, _IDENTIFIERS, st.integers(1, MAX_SEQ), HASHES, _IDENTIFIERS, _DATES_MS, _OBJECTS)


@st.composite
def genesis(draw: st.DrawFn) -> Genesis:
    """A genesis of one to three sides."""
    sides = {}
    for side in draw(st.lists(_IDENTIFIERS.filter(lambda name: name != JOINT), min_size=1, max_size=3, unique=True)):
        ed25519 = vkeys(types=(KeyType.ED25519,))
        keys = draw(
            st.lists(ed25519, min_size=1, max_size=3, unique_by=(lambda k: k.key, lambda k: (k.name, k.key_id)))
        )
        sides[side] = Authorities(tuple(keys), draw(st.integers(1, len(keys))))
    rows = st.lists(st.builds(Initial, _IDENTIFIERS, _OBJECTS), max_size=2).map(tuple)
    initial = {chain: draw(rows) for chain in (*sides, JOINT)}
    return Genesis(draw(_DATES_MS), draw(st.integers(0, 86_400)), sides, initial)


def _action_note(action: Action, lines: tuple[Signature, ...]) -> Note:
    return Note(action.encode(), lines)


_REFS = st.lists(st.builds(Ref, LINES, TIMES, HASHES), max_size=2).map(tuple)
_READ = {EntryType.CHECKPOINT_ANCHOR, EntryType.GENESIS, EntryType.GOVERNANCE_ACTION}  # types whose content is read
_PLAIN = [t for t in EntryType if t not in _READ]
_SUBMITTERS = st.binary(min_size=1, max_size=40)
ENTRIES = (
    st.builds(Entry, st.sampled_from(_PLAIN), TIMES, _SUBMITTERS, _REFS, LINES, st.binary(max_size=60))
    | st.builds(anchor_entry, TIMES, _SUBMITTERS, SIGNED.map(Note.parse))
    | st.builds(genesis_entry, TIMES, _SUBMITTERS, JSON_VALUES)
    | st.builds(action_entry, TIMES, _SUBMITTERS, st.builds(_action_note, ACTIONS, SIGNATURE_LINES))
)

_WORDS = st.text(_CHARACTERS.filter(lambda c: c not in " \x7f"), min_size=1, max_size=8).filter(
    lambda word: word != NO_QUORUM
)
_URLS = st.none() | _WORDS


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy whose groups take their members, each once, from what stands before them."""
    printable = vkeys().filter(lambda vkey: "\x7f" not in vkey.name)
    logs = draw(st.lists(printable, max_size=3, unique_by=lambda vkey: vkey.key))
    cosigners = vkeys(types=(KeyType.COSIGNATURE, KeyType.MLDSA))
    printable = cosigners.filter(lambda vkey: "\x7f" not in vkey.name)
    keys = draw(st.lists(printable, max_size=5, unique_by=lambda vkey: vkey.key))
    names = draw(st.lists(_WORDS, min_size=len(keys) + 3, max_size=len(keys) + 3, unique=True))
    witnesses = tuple(PolicyWitness(names.pop(), key, draw(_URLS)) for key in keys)
    free = [witness.name for witness in witnesses]
    defined = list(free)
    groups: list[PolicyGroup] = []
    while free and len(groups) < 3 and draw(st.booleans()):
        members = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        group = PolicyGroup(names.pop(), draw(st.integers(1, len(members))), tuple(members))
        groups.append(group)
        defined.append(group.name)
        free = [name for name in free if name not in members] + [group.name]
    quorum = draw(st.sampled_from([NO_QUORUM, *defined]))
    return Policy(tuple(PolicyLog(key, draw(_URLS)) for key in logs), witnesses, tuple(groups), quorum)


# What a lenient reader would let pass: spaces, line ends, signs, zeros, padding, other scripts' digits and spaces.
_INSERTS = st.sampled_from(
    [b" ", b"\n", b"\r", b"\t", b"0", b"+", b"-", b"_", b"=", b"\x00", b"\x7f", b"\xff", b"\xc2\xa0", b"#"]
) | st.binary(min_size=1, max_size=4)


@st.composite
def damaged(draw: st.DrawFn, encodings: st.SearchStrategy[bytes]) -> bytes:
    """Random bytes, or a valid encoding after one to three small changes (which may cancel out)."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = draw(encodings)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        match draw(st.integers(0, 4)):
            case 0:  # cut something out
                data = data[:start] + data[end:]
            case 1:  # say something twice
                data = data[:end] + data[start:]
            case 2:  # put something in
                data = data[:start] + draw(_INSERTS) + data[start:]
            case 3:  # flip a bit
                if start < len(data):
                    flipped = data[start] ^ (1 << draw(st.integers(0, 7)))
                    data = data[:start] + bytes([flipped]) + data[start + 1 :]
            case _:  # cut off
                data = data[:start]
    return data
