"""Every name and number under a Twinlog signature or hash that no other specification fixes.

They are chosen here once. A name that has been signed is never given a second meaning; a format that
changes gets a new name. Text names stand under `twinlog/`, apart from every C2SP name (`c2sp.org/…`,
`cosignature/…`).
"""

from enum import IntEnum

# First lines of the texts that Twinlog signs as notes.
TRUSTLIST = "twinlog-trustlist/1"  # fixed before this file was; the rest follows C2SP's `name@version`
GUARD_PUSH = "twinlog/guard-push@v1"
IDENTITY = "twinlog/identity@v1"
ACTION = "twinlog/action@v1"

GENESIS = "twinlog/genesis@v1"  # the member `format` of a genesis
EVENT = "twinlog/event@v1"  # the member `format` of an event
EVENTS = "twinlog/events@v1"  # the member `format` of a request that brings events
SUBMISSION = "twinlog/submission@v1"  # first line of a submission record
TRUST_BUNDLE = "twinlog/trust-bundle@v1"  # the member `format` of a trust bundle

EVIDENCE = "twinlog/evidence@v1"  # the type of an evidence object, log/evidence
OBSERVATIONS = "twinlog/observations@v1"  # the type of a page of what a monitor has seen, monitor/observation
ALERT = "twinlog/alert@v1"  # what channels are told; an HMAC covers it

# Identifier of the 0xff note signature type (C2SP signed-note). The final LF keeps a set of identifiers
# prefix-free.
SM2_COSIGNATURE = b"twinlog/sm2-sm3-cosignature@v1\n"

# What a commitment hashes first: SHA-256(tag || field || salt || value). The LF ends the tag as above.
COMMITMENT = b"twinlog/commitment@v1\n"

# The parameter `tag` of the signature of a member's request (RFC 9421 section 2.3): one with a body, and one without.
WRITE_TAG = "twinlog/write@v1"
READ_TAG = "twinlog/read@v1"

# What the origin of a rehearsal log begins with: submitters try their software there, and nothing in it counts.
REHEARSAL = "test."

# First byte of the `extra` line of a tlog-proof: what the verifier needs besides the document.
EXTRA_X509 = 1  # log.formats.tlog_proof.X509Extra
EXTRA_EVENT = 2  # an entry of an events log and the openings of its commitments, as its submitter keeps them
EXTRA_ENTRY = 3  # the entry itself, where the verifier has nothing to rebuild it from

# First two bytes of an entry that is no certificate. An RFC 6962 MerkleTreeLeaf and SCT input begin with
# 0000, a tree head input with 0001, so no entry can be read as one of them.
ENTRY_FORMAT = 0x4B47


class EntryType(IntEnum):
    """What an entry of a tlog-tiles log is: 1..15 are events, 16..31 belong to governance."""

    SIGNATURE_EVENT = 1
    SEAL_EVENT = 2
    REVOCATION_EVENT = 3
    GOVERNANCE_ACTION = 16
    CHECKPOINT_ANCHOR = 17
    ERRATUM = 18
    GENESIS = 19


CONTENT_JCS = "application/jcs+json"  # RFC 8785 canonical JSON
CONTENT_ACTION = "text/x.twinlog.action"  # a signed note whose text is an action
CONTENT_CHECKPOINT = "text/x.tlog.checkpoint"  # a signed note whose text is a checkpoint
