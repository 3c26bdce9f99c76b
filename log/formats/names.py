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

EVIDENCE = "twinlog/evidence@v1"  # the type of an evidence object, monitor/evidence.py

# Identifier of the 0xff note signature type (C2SP signed-note). The final LF keeps a set of identifiers
# prefix-free.
SM2_COSIGNATURE = b"twinlog/sm2-sm3-cosignature@v1\n"

# First byte of the `extra` line of a tlog-proof: what the verifier needs besides the document.
EXTRA_X509 = 1  # log.formats.tlog_proof.X509Extra
EXTRA_EVENT = 2  # reserved: the openings of an event's salted fields

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
CONTENT_CHECKPOINT = "text/x.tlog.checkpoint"  # a signed note whose text is a checkpoint
