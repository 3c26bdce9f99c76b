"""The trust list of one side: which issuers are listed, and which of their certificate types are recognised when.

`trustlist.json` is one canonical JSON object (`log.formats.jcs`); `trustlist.note`, beside it, a signed note:

    twinlog-trustlist/1
    <version>
    <base64 SHA-256 of trustlist.json>

There are two timelines, and both count: when a *type* of certificate is recognised, and when an *issuer*
issues it. One type may have several rows, one an issuer, since issuers were replaced while the type stayed
recognised. The rows, and what is said of a date nobody knows, are in `trustlist_rows`.

Lists say what was recognised. They do not decide what is logged: see `log.certs.chain`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Self

from log.certs.trustlist_rows import CertType, Issuer, Status, begins_ms, best, strictest
from log.crypto import notes
from log.errors import Malformed, PolicyNotMet, VerificationError
from log.formats import jcs
from log.formats.fields import encode_date, members, parse_date, typed
from log.formats.names import TRUSTLIST
from log.formats.note import Note, VKey
from log.formats.text import b64decode, b64encode, decimal, decode_lines


@dataclass(frozen=True)
class TrustList:
    """One version of one side's list."""

    version: int  # >= 1, rises by one or more
    published_ms: int
    issuers: tuple[Issuer, ...]
    types: tuple[CertType, ...]
    # What actions of governance suspend; no part of the file, since it holds until another action lifts it.
    suspended_issuers: frozenset[str] = frozenset()  # ids; a root takes those below it along
    suspended_types: frozenset[tuple[str, str]] = frozenset()  # id of the type, id of the issuer

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read `trustlist.json`; `Malformed` for anything that `encode` does not write."""
        trust_list = cls.of(jcs.parse(data))
        if trust_list.encode() != data:
            raise Malformed("trust list: another spelling than the canonical one")
        return trust_list

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read the list out of canonical JSON, or raise `Malformed`."""
        fields = members(value, "version", "published", "issuers", "types")
        trust_list = cls(
            typed(fields["version"], int),
            parse_date(fields["published"]),
            tuple(Issuer.of(row) for row in typed(fields["issuers"], list)),
            tuple(CertType.of(row) for row in typed(fields["types"], list)),
        )
        trust_list.check()
        return trust_list

    def encode(self) -> bytes:
        """Write `trustlist.json`; `Malformed` when the rows do not go together."""
        self.check()
        return jcs.encode(self.value())

    def value(self) -> dict[str, Any]:
        """Write the list as canonical JSON takes it."""
        return {
            "version": self.version,
            "published": encode_date(self.published_ms),
            "issuers": [issuer.row() for issuer in self.issuers],
            "types": [cert_type.row() for cert_type in self.types],
        }

    def note_text(self) -> bytes:
        """Return the text that the list's signers sign."""
        return note_text(self.version, self.encode())

    def issuer(self, fingerprint: bytes) -> Issuer | None:
        """Return the row of the issuer with this certificate (SHA-256), or None."""
        return self._by_fingerprint.get(fingerprint)

    def issuer_status(self, fingerprint: bytes, date_ms: int) -> Status:
        """Say how an issuer (SHA-256 of its certificate) stood on a date; a withdrawn root takes it along."""
        issuer = self.issuer(fingerprint)
        return Status.ABSENT if issuer is None else self._path_status(issuer, date_ms)

    def type_status(self, type_id: str, date_ms: int, issuer: bytes | None = None) -> Status:
        """Say how a type stood on a date; with the SHA-256 of an issuer's certificate, as this issuer issues it."""
        among = self.types if issuer is None else self.types_under(issuer)
        rows = [row for row in among if row.id == type_id]
        return best(strictest((self._row_status(row, date_ms), self._path_of(row, date_ms))) for row in rows)

    def types_of(self, policies: Sequence[str], issuer: bytes) -> tuple[CertType, ...]:
        """Return the types that a certificate with these policies can be of, given who issued it (SHA-256)."""
        named = frozenset(policies)
        return tuple(row for row in self.types_under(issuer) if not named.isdisjoint(row.policy_oids))

    def types_under(self, issuer: bytes) -> tuple[CertType, ...]:
        """Return the types that a list has under the issuer with this certificate (SHA-256), in their order."""
        listed = self.issuer(issuer)
        return () if listed is None else self._by_issuer.get(listed.id, ())

    def era(self, date_ms: int) -> int:
        """Return a number that all dates share between two at which the status of anything on the list changes."""
        return bisect_right(self._changes, date_ms)

    @cached_property
    def _changes(self) -> list[int]:
        dates = {self.published_ms}
        for issuer in self.issuers:
            dates |= {begins_ms(issuer.certificate), *_known(issuer.from_ms, issuer.to_ms, issuer.withdrawn_ms)}
        for row in self.types:
            dates.update(_known(row.from_ms, row.to_ms))
        return sorted(dates)

    @cached_property
    def identity(self) -> object:
        """Stands for this very object where what it says is remembered: it is quicker to compare than all rows."""
        return object()

    def _row_status(self, row: CertType, date_ms: int) -> Status:
        said = row.status(date_ms, self.published_ms)
        suspended = (row.id, row.issuer_id) in self.suspended_types
        return strictest((said, Status.SUSPENDED)) if suspended else said

    def _path_of(self, row: CertType, date_ms: int) -> Status:
        return self._path_status(self._by_id[row.issuer_id], date_ms)

    def _path_status(self, issuer: Issuer, date_ms: int) -> Status:
        root = self._by_id[issuer.root_id]
        if root.withdrawn_ms is not None and date_ms >= root.withdrawn_ms:
            return Status.WITHDRAWN
        said = issuer.status(date_ms, self.published_ms)
        suspended = not self.suspended_issuers.isdisjoint({issuer.id, root.id})
        return strictest((said, Status.SUSPENDED)) if suspended else said

    @cached_property
    def _by_id(self) -> dict[str, Issuer]:
        return {issuer.id: issuer for issuer in self.issuers}

    @cached_property
    def _by_issuer(self) -> dict[str, tuple[CertType, ...]]:
        found: dict[str, tuple[CertType, ...]] = {}
        for row in self.types:
            found[row.issuer_id] = (*found.get(row.issuer_id, ()), row)
        return found

    @cached_property
    def _by_fingerprint(self) -> dict[bytes, Issuer]:
        return {sha256(issuer.certificate).digest(): issuer for issuer in self.issuers}

    def check(self) -> None:
        """Raise `Malformed` unless the rows go together."""
        if self.version < 1:
            raise Malformed("trust list: versions begin at 1")
        if len(self._by_id) != len(self.issuers) or len(self._by_fingerprint) != len(self.issuers):
            raise Malformed("trust list: an issuer stands there twice")
        if len({(row.id, row.issuer_id) for row in self.types}) != len(self.types):
            raise Malformed("trust list: a type stands there twice under one issuer")
        for issuer in self.issuers:
            if issuer.root_id not in self._by_id:
                raise Malformed(f"trust list: {issuer.id} has a root that is not listed")
            issuer.check()
        for cert_type in self.types:
            if cert_type.issuer_id not in self._by_id:
                raise Malformed(f"trust list: {cert_type.id} has an issuer that is not listed")
            cert_type.check()


def _known(*dates: int | None) -> list[int]:
    return [date for date in dates if date is not None]


def note_text(version: int, data: bytes) -> bytes:
    """Return the text signed for these bytes of `trustlist.json`."""
    return f"{TRUSTLIST}\n{version}\n{b64encode(sha256(data).digest())}\n".encode()


def verify(data: bytes, note: bytes, signers: Sequence[VKey], threshold: int, in_use: int = 0) -> TrustList:
    """Read a list that `threshold` of its signers have signed; `in_use` is the version it is to replace.

    Raises `Malformed`; `BadSignature` for a line of a signer that does not verify; `PolicyNotMet` for too
    few; `VerificationError` when the note is about other bytes, or the version is lower than the one in use.
    """
    if not 1 <= threshold <= len(signers):
        raise AssertionError("a threshold from 1 to the number of signers")
    parsed = Note.parse(note)
    _, version, digest = _note_lines(parsed.text)
    signed = {verified.vkey.key for verified in notes.verify_note(parsed, signers)}
    if len(signed) < threshold:
        raise PolicyNotMet(f"trust list: {len(signed)} signatures where {threshold} must be")
    if b64decode(digest, 32) != sha256(data).digest():
        raise VerificationError("trust list: the note is about another file")
    trust_list = TrustList.parse(data)
    if decimal(version) != trust_list.version:
        raise VerificationError("trust list: note and file have different versions")
    if trust_list.version < in_use:
        raise VerificationError(f"trust list: version {trust_list.version} after version {in_use}")
    return trust_list


def _note_lines(text: bytes) -> list[str]:
    lines = decode_lines(text)
    if len(lines) != 3 or lines[0] != TRUSTLIST:
        raise Malformed("not the note of a trust list")
    return lines
