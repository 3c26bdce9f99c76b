"""Values of every format, and encodings with something wrong in them."""

from dataclasses import replace

from hypothesis import strategies as st

from log.formats import event_codes as codes
from log.formats import jcs
from log.formats.action import JOINT, MAX_SEQ, Action
from log.formats.checkpoint import Checkpoint
from log.formats.commitment import Opening
from log.formats.event import Entry, action_entry, anchor_entry, event_entry, genesis_entry
from log.formats.event_batch import EventBatch, EventResults, Result, Submitted
from log.formats.event_codes import EventType, Standing
from log.formats.family import Parts, precert_parts, raw_parts, x509_parts
from log.formats.genesis import Authorities, Genesis, Initial
from log.formats.guard_push import GuardPush
from log.formats.identity import Identity
from log.formats.logged_event import EVENT_ENTRIES, MAX_EVENTS, LoggedEvent
from log.formats.names import READ_TAG, WRITE_TAG, EntryType
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.policy import NO_QUORUM, Policy, PolicyGroup, PolicyLog, PolicyWitness
from log.formats.ref import Ref
from log.formats.sct import SCT, digitally_signed
from log.formats.signature_base import MAX_CREATED_S, PARAMETERS, KeyId, SignatureBase
from log.formats.signature_event import _OF_ORGANISATIONS, _OPTIONAL, _REQUIRED, _TOGETHER, Event
from log.formats.submission import Submission
from log.formats.tile_leaf import PRECERT_ENTRY, X509_ENTRY, TileLeaf
from log.formats.tlog_proof import EntryExtra, EventExtra, TlogProof, X509Extra
from log.formats.trust_bundle import TrustBundle
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


def _action_note(action: Action, lines: tuple[Signature, ...]) -> Note:
    return Note(action.encode(), lines)


MEMBERS = st.builds(lambda side, member: f"{side}/{member}", _IDENTIFIERS, _IDENTIFIERS)
KEY_IDS = st.builds(KeyId, MEMBERS, st.binary(min_size=4, max_size=4))


@st.composite
def signature_bases(draw: st.DrawFn) -> SignatureBase:
    plain = SignatureBase(
        draw(st.sampled_from(["GET", "POST"])),
        draw(st.sampled_from(["hk.twinlog.example", "127.0.0.1:8800", "[::1]:8800"])),
        draw(st.sampled_from(["/", "/events/add-events", "/a/b;c"])),
        draw(st.sampled_from(["", "?", "?a=b&c"])),
        draw(st.none() | HASHES),
        draw(st.integers(0, MAX_CREATED_S)),
        draw(KEY_IDS),
        draw(st.sampled_from([WRITE_TAG, READ_TAG])),
    )
    return replace(
        plain,
        components=tuple(draw(st.permutations(plain.components))),
        parameters=tuple(draw(st.permutations(PARAMETERS))),
    )


SIGNATURE_BASES = signature_bases()
SUBMISSIONS = st.builds(Submission, SIGNATURE_BASES, st.binary(min_size=64, max_size=64))


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


@st.composite
def trust_bundles(draw: st.DrawFn) -> TrustBundle:
    """A genesis with some actions of its chains, in order, and identities."""
    begun = draw(genesis())
    notes = {}
    for chain in begun.chains:
        actions = [replace(each, chain=chain) for each in draw(st.lists(ACTIONS, max_size=2))]
        ordered = {(each.seq, each.hash): each for each in actions}
        notes[chain] = tuple(_action_note(ordered[place], draw(SIGNATURE_LINES)) for place in sorted(ordered))
    return TrustBundle(begun, notes, draw(st.dictionaries(NAMES, st.binary(max_size=40), max_size=2)))


# --- events: every member that a type may have, with or without those that it need not have ---

MINUTES_MS = st.integers(-1_000_000_000, 4_000_000_000 // 60).map(lambda minutes: minutes * 60_000)
_ORIGINS = st.from_regex(r"\A[a-z][a-z0-9.]{1,9}/[a-z0-9-]{1,9}\Z")
EVENT_REFS = st.builds(Ref, _ORIGINS, st.integers(0, jcs.MAX_INTEGER), HASHES)
_SOME_REFS = st.lists(EVENT_REFS, min_size=1, max_size=2, unique=True).map(tuple)
_OIDS = st.from_regex(r"\A[0-2](\.(0|[1-9][0-9]{0,4})){1,8}\Z")
OPENINGS = st.lists(
    st.builds(Opening, _IDENTIFIERS, HASHES, st.binary(min_size=1, max_size=40)),
    max_size=3,
    unique_by=lambda opening: opening.name,
).map(lambda openings: tuple(sorted(openings, key=lambda opening: opening.name)))


def _words(words: frozenset[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(words))


_EVENT_MEMBERS: dict[str, tuple[str, st.SearchStrategy[object]]] = {
    "at": ("at_ms", MINUTES_MS),
    "platform_jurisdiction": ("platform_jurisdiction", _words(codes.JURISDICTIONS)),
    "platform": ("platform", _IDENTIFIERS),
    "relying_jurisdiction": ("relying_jurisdiction", _words(codes.JURISDICTIONS)),
    "city": ("city", _words(codes.CITIES)),
    "channel": ("channel", _words(codes.CHANNELS)),
    "purpose": ("purpose", _words(codes.PURPOSES)),
    "transfer_basis": ("transfer_basis", _words(codes.TRANSFER_BASES)),
    "ca": ("ca", _IDENTIFIERS),
    "certificate_type": ("certificate_type", _IDENTIFIERS),
    "policy_oids": ("policy_oids", st.lists(_OIDS, min_size=1, max_size=3).map(tuple)),
    "signer_jurisdiction": ("signer_jurisdiction", _words(codes.JURISDICTIONS)),
    "key_algorithm": ("key_algorithm", _words(codes.KEY_ALGORITHMS)),
    "key_bits": ("key_bits", st.integers(1, 65_536)),
    "certificate": ("certificate", HASHES),
    "not_before": ("not_before_ms", MINUTES_MS),
    "not_after": ("not_after_ms", MINUTES_MS),
    "certificate_ref": ("certificate_ref", EVENT_REFS),
    "signature_algorithm": ("signature_algorithm", _words(codes.SIGNATURE_ALGORITHMS)),
    "sig_digest": ("sig_digest", HASHES),
    "container": ("container", _words(codes.CONTAINERS)),
    "document_algorithm": ("document_algorithm", _words(codes.DOCUMENT_ALGORITHMS)),
    "time_stamp": ("time_stamp_ms", MINUTES_MS),
    "time_stamp_covers": ("time_stamp_covers", _words(codes.TIME_STAMP_COVERS)),
    "tsa": ("tsa", HASHES),
    "status": ("status", _words(codes.STATUSES)),
    "status_source": ("status_source", _words(codes.STATUS_SOURCES)),
    "status_updated": ("status_ms", MINUTES_MS),
    "seal_kind": ("seal_kind", _words(codes.SEAL_KINDS)),
    "seal_version": ("seal_version", st.sampled_from(sorted(codes.SEAL_VERSIONS))),
    "seal_maker": ("seal_maker", HASHES),
    "reason": ("reason", _words(codes.REASONS)),
    "events": ("events", _SOME_REFS),
}


@st.composite
def opened_events(draw: st.DrawFn) -> tuple[Event, tuple[Opening, ...]]:
    """An event of any type, and the openings of all that it commits to."""
    kind = draw(st.sampled_from(EventType))
    required, optional = _REQUIRED[kind] - {"type"}, _OPTIONAL[kind] - {"commitments"}
    names = required | draw(st.sets(st.sampled_from(sorted(optional))))
    committed = set(draw(st.sets(_words(codes.COMMITTED), max_size=3))) - {"certificate"}
    for group in _TOGETHER:
        if names & group:
            names |= group
    if "tsa" in names:
        names |= {"time_stamp", "time_stamp_covers"}
    if "certificate" not in names:
        names -= _OF_ORGANISATIONS
        committed |= {"certificate"} if "ca" in names else set()
    committed |= {"document"} if "document_algorithm" in required else set()
    committed |= {"seal"} if "seal_kind" in required else set()
    openings = tuple(
        Opening(name, draw(HASHES), draw(st.binary(min_size=1, max_size=40))) for name in sorted(committed)
    )
    values = {_EVENT_MEMBERS[name][0]: draw(_EVENT_MEMBERS[name][1]) for name in sorted(names)}
    commitments = {opening.name: opening.commitment for opening in openings}
    return Event(type=kind, commitments=commitments, **values), openings  # type: ignore[arg-type]


EVENT_SEQS = st.integers(1, jcs.MAX_INTEGER)
EVENTS = opened_events().map(lambda opened: opened[0])
_MEMBERS = st.builds("{}/{}".format, _IDENTIFIERS, _IDENTIFIERS)


@st.composite
def opened_entries(draw: st.DrawFn) -> tuple[Entry, tuple[Opening, ...]]:
    """The entry of an event, and its openings."""
    event, openings = draw(opened_events())
    logged = [standing for standing in Standing if standing is not Standing.NOT_LOGGED]
    standing = Standing.NOT_LOGGED if event.certificate_ref is None else draw(st.sampled_from(logged))
    place = draw(st.integers(0, MAX_EVENTS - 1))
    entry = LoggedEvent(event, draw(HASHES), draw(EVENT_SEQS), place, standing)
    return event_entry(draw(TIMES), draw(_MEMBERS), entry), openings


EVENT_ROWS = opened_entries().map(lambda opened: opened[0])
LOGGED_EVENTS = EVENT_ROWS.map(Entry.logged_event)
_SHORT_PROOFS = st.builds(
    TlogProof, SIZES, st.lists(HASHES, max_size=3).map(tuple), SIGNED, st.none() | st.binary(min_size=1, max_size=40)
).map(TlogProof.encode)
EVENT_BATCHES = st.builds(
    EventBatch,
    _MEMBERS,
    EVENT_SEQS,
    st.lists(st.builds(Submitted, EVENTS, st.none() | _SHORT_PROOFS), min_size=1, max_size=2).map(tuple),
)
_REASONS = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=20)
EVENT_RESULTS = st.builds(
    EventResults,
    st.lists(st.builds(Result, _SHORT_PROOFS) | st.builds(Result, st.none(), _REASONS), min_size=1, max_size=3).map(
        tuple
    ),
)


@st.composite
def event_extras(draw: st.DrawFn) -> EventExtra:
    """The entry of an event with some of its openings."""
    entry, openings = draw(opened_entries())
    return EventExtra(entry, tuple(opening for opening in openings if draw(st.booleans())))


_REFS = st.lists(st.builds(Ref, LINES, TIMES, HASHES), max_size=2).map(tuple)
_READ = {EntryType.CHECKPOINT_ANCHOR, EntryType.GENESIS, EntryType.GOVERNANCE_ACTION}  # types whose content is read
_PLAIN = [t for t in EntryType if t not in {*_READ, *EVENT_ENTRIES}]
_SUBMITTERS = st.binary(min_size=1, max_size=40)
ENTRIES = (
    st.builds(Entry, st.sampled_from(_PLAIN), TIMES, _SUBMITTERS, _REFS, LINES, st.binary(max_size=60))
    | st.builds(anchor_entry, TIMES, _SUBMITTERS, SIGNED.map(Note.parse))
    | st.builds(genesis_entry, TIMES, _SUBMITTERS, JSON_VALUES)
    | st.builds(action_entry, TIMES, _SUBMITTERS, st.builds(_action_note, ACTIONS, SIGNATURE_LINES))
    | EVENT_ROWS
)
ENTRY_EXTRAS = st.builds(EntryExtra, ENTRIES)

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
