"""Verifying what a log says: heads, proofs, SCTs, its identity. Bytes in, facts or an error out.

Nothing here reads a clock, a file or the network, and of other packages only `cryptography` is needed, so a
court can run it. What bytes cannot be read raises `Malformed`, what does not hold a `VerificationError`:

    BadSignature    a known key's line fails, or a line that must be there is not
    BadProof        the hashes do not lead from this certificate, or this old head, to the signed root
    PolicyNotMet    all is true, but too few witnesses have cosigned
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from log.certs import certificate as certs
from log.certs.precert import strip_poison, strip_sct_list
from log.crypto.notes import statement_key, verify_note
from log.crypto.tree_heads import verify_sct
from log.errors import BadProof, BadSignature, Malformed, PolicyNotMet
from log.formats.checkpoint import Checkpoint, is_rehearsal, parse_signed
from log.formats.identity import Identity
from log.formats.note import KeyType, Note, VKey
from log.formats.policy import Policy
from log.formats.sct import SCT
from log.formats.tile_leaf import PRECERT_ENTRY, TileLeaf
from log.formats.tlog_proof import TlogProof, X509Extra
from log.merkle.hashing import leaf_hash
from log.merkle.proof import verify_consistency, verify_inclusion

MAX_CERTIFICATE_BYTES = 65_535  # no leaf of a log is longer (contract, Answers of add-chain)


# --- one head ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vouched:
    """A head, and who stands behind it."""

    checkpoint: Checkpoint
    vkeys: tuple[VKey, ...]  # the log's keys that signed it, one or more
    witnesses: tuple[tuple[str, int], ...]  # those of the policy that cosigned it: key name, time in ms
    satisfied: bool  # whether they meet the policy's quorum
    signed_ms: int | None = None  # when the log signed it, by its own lines; None where they tell no time
    missing: tuple[str, ...] = ()  # witnesses of the policy that did not cosign it, by key name

    @property
    def unmet(self) -> str:
        """Why the quorum is not met: who is there, and who is missing."""
        names = ", ".join(name for name, _ in self.witnesses) or "nobody"
        return (
            f"{len(self.witnesses)} cosignatures of known witnesses do not meet the quorum:"
            f" the head of size {self.checkpoint.size} is vouched for by {names}, not by {', '.join(self.missing)}"
        )


def verify_checkpoint(note: bytes, policy: Policy) -> Vouched:
    """Verify a head by the keys of a policy (C2SP tlog-policy).

    A witness that has two keys counts by each that stands in the policy: whether one of them is enough, or
    both are asked for, the policy's groups say. A cosignature without a time counts for nothing.

    Raises `Malformed`, and `BadSignature` when the policy does not know the log, none of its keys for it
    signed, or a line of a known key fails. A quorum that is not met is no error here: see
    `Vouched.satisfied`. That of a rehearsal log never is, whatever the policy says.
    """
    parsed, checkpoint = parse_signed(note)
    log_vkeys = policy.log_vkeys(checkpoint.origin)
    if not log_vkeys:
        raise BadSignature(f"{checkpoint.origin} is not a log of this policy")
    verified = verify_note(parsed, (*log_vkeys, *policy.witness_vkeys()))
    own = tuple(line.vkey for line in verified if line.vkey in log_vkeys)
    if not own:
        raise BadSignature(f"no signature by {checkpoint.origin}")
    cosigned = [line for line in verified if line.witnesses and line.vkey in policy.witness_vkeys()]
    return Vouched(
        checkpoint,
        own,
        tuple((line.vkey.name, line.timestamp_ms or 0) for line in cosigned),
        policy.satisfied([line.vkey for line in cosigned]) and not is_rehearsal(checkpoint.origin),
        max((line.timestamp_ms for line in verified if line.vkey in log_vkeys and line.timestamp_ms), default=None),
        tuple(dict.fromkeys(v.name for v in policy.witness_vkeys() if v.name not in {c.vkey.name for c in cosigned})),
    )


def verify_extends(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Check that the tree of `new` begins with that of `old`, or raise `BadProof`.

    From size 0, with which every tree begins, and between equal sizes the proof is empty.
    """
    if old.size not in (0, new.size):
        verify_consistency(old.size, new.size, old.root, new.root, proof)
    elif proof:
        raise BadProof("a consistency proof where none belongs")
    elif old.size == new.size and old.root != new.root:
        raise BadProof(f"two roots at size {new.size}")


def verify_leaf(proof: TlogProof, leaf: bytes, policy: Policy) -> Vouched:
    """Verify that `leaf` (leaf input, of any family) stands at the proof's index under its head; return the
    head.

    Raises as `verify_checkpoint` does, and `BadProof`. The quorum is left to the caller.
    """
    vouched = verify_checkpoint(proof.checkpoint, policy)
    checkpoint = vouched.checkpoint
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.hashes, checkpoint.root)
    return vouched


def verify_identity(raw: bytes, pinned: Sequence[VKey] = ()) -> Identity:
    """Verify a log's statement of its origin and keys: every key named in it must have signed it.

    `pinned` are keys known from elsewhere, all of which must be among them. Without any the statement says
    only that its keys belong together, not whose they are. Raises `Malformed` and `BadSignature`.
    """
    note = Note.parse(raw)
    identity = Identity.parse(note.text)
    signed = {line.vkey for line in verify_note(note, map(statement_key, identity.vkeys))}
    for vkey in identity.vkeys:
        if statement_key(vkey) not in signed:
            raise BadSignature(f"{identity.origin}: the key {vkey.encode()} did not sign its identity")
    for vkey in pinned:
        if vkey not in identity.vkeys:
            raise BadSignature(f"{identity.origin}: the key {vkey.encode()} is not one of its identity")
    return identity


# --- one certificate --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proves: the certificate stands at `index` of `origin`; and who vouches for that log."""

    origin: str
    index: int
    timestamp_ms: int  # when the log took it in
    size: int  # of the head that covers it
    witnesses: tuple[tuple[str, int], ...]  # key name and time in ms of each cosignature the policy knows
    entry_type: int  # X509_ENTRY or PRECERT_ENTRY
    issuer_key_hash: bytes  # of the issuer a precertificate entry names; b"" for an x509 entry
    sct: SCT
    sct_verified: bool  # False when the policy has no 0x05 key of the log: then the tree alone speaks
    provisional: bool  # True when the quorum is not met: one side's word
    signed_ms: int | None = None  # when the log signed that head, by its own lines
    missing: tuple[str, ...] = ()  # witnesses of the policy that did not cosign it


def verify_proof(raw: bytes, certificate: bytes, policy: Policy, *, provisional: bool = False) -> Proven:
    """Verify a tlog-proof for a certificate (C2SP tlog-proof; design section 3).

    `certificate` is DER: the logged certificate, or for a precertificate entry the final certificate or the
    precertificate itself. (A precertificate of a Precertificate Signing Certificate cannot be matched to its
    entry, which speaks of another issuer; its final certificate can.)

    Raises `Malformed`; `BadSignature` from the head or the SCT; `BadProof` when it is not this certificate
    that is proven; and last `PolicyNotMet`, which `provisional=True` turns into the result's `provisional`.
    """
    proof = TlogProof.parse(raw)
    if proof.extra is None:
        raise Malformed("a proof without extra data is not that of a certificate")
    extra = X509Extra.parse(proof.extra)
    sct = SCT.parse(extra.sct)
    leaf = certificate_leaf(certificate, extra, sct)
    if sct.index != proof.index:
        raise BadProof(f"the SCT is of leaf {sct.index}, the proof of leaf {proof.index}")
    vouched = verify_leaf(proof, leaf, policy)
    checkpoint = vouched.checkpoint
    sct_verified = _verify_sct_by_policy(extra.sct, leaf, policy.log_vkeys(checkpoint.origin))
    if not vouched.satisfied and not provisional:
        raise PolicyNotMet(vouched.unmet)
    return Proven(
        checkpoint.origin,
        proof.index,
        sct.timestamp_ms,
        checkpoint.size,
        vouched.witnesses,
        extra.entry_type,
        extra.issuer_key_hash,
        sct,
        sct_verified,
        provisional=not vouched.satisfied,
        signed_ms=vouched.signed_ms,
        missing=vouched.missing,
    )


def certificate_leaf(certificate: bytes, extra: X509Extra, sct: SCT) -> bytes:
    """Rebuild the MerkleTreeLeaf of a certificate from what is public about its entry; raises `Malformed`."""
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        raise Malformed(f"a certificate over {MAX_CERTIFICATE_BYTES} bytes is in no log")
    signed = _precert_tbs(certificate) if extra.entry_type == PRECERT_ENTRY else certificate
    entry = TileLeaf(
        sct.timestamp_ms,
        extra.entry_type,
        signed,
        extra.issuer_key_hash,
        sct.index,
        precert=b"",
        fingerprints=(),
    )
    return entry.merkle_tree_leaf()


def _precert_tbs(der: bytes) -> bytes:
    """Return the TBSCertificate that the log signed, less what came later (RFC 6962 section 3.2)."""
    certificate = certs.parse(der)
    if certificate.is_precert:
        return strip_poison(certificate.tbs)
    if certificate.extension(certs.SCT_LIST) is None:  # its SCTs come another way, in TLS or OCSP
        return certificate.tbs
    return strip_sct_list(certificate.tbs)


def _verify_sct_by_policy(sct: bytes, leaf: bytes, vkeys: Sequence[VKey]) -> bool:
    """Verify an SCT by the 0x05 key among a log's keys that it names; return False when there are none."""
    signers = {sha256(vkey.key).digest(): vkey for vkey in vkeys if vkey.type is KeyType.TREE_HEAD}
    if not signers:
        return False
    signer = signers.get(SCT.parse(sct).log_id)
    if signer is None:
        raise BadSignature("the SCT is not by a key of this log")
    verify_sct(sct, leaf, signer)
    return True
