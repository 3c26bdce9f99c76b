"""PURE: names, organisations and keys that somebody watches (monitoring.md §4.2, S6; §6 rows 28 and 44).

Suffixes and equality only, no patterns: nothing here can take longer than the names are long. A name is compared in
its ASCII form, however it is written (U-label, A-label, full width); a wildcard is a name, and what it covers. What
stands before and after a NUL counts by itself. Where a certificate cannot be cut, its raw bytes are searched.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar

import idna

from monitor.alert import Alert, Class
from monitor.rules import reading
from monitor.rules.case import Case, Place, Unreadable
from monitor.rules.reading import COMMON_NAME, DNS_NAME, EMAIL, MAIL_NAME, ORGANISATION, UNIT

_Value = TypeVar("_Value")

_SHORT = 253  # characters of a name that is remembered: no name of a host is longer
_DOTS = str.maketrans("。．｡", "...")


@dataclass(frozen=True, slots=True)
class Watched:
    """One row of `[[watch]]`."""

    name: str  # who watches, or why
    suffixes: tuple[str, ...] = ()  # as `ascii_name` has them
    organisations: tuple[str, ...] = ()  # as `reading.folded` has them
    keys: tuple[bytes, ...] = ()  # SHA-256 of SubjectPublicKeyInfo


@dataclass(frozen=True, slots=True)
class Match:
    """A certificate that somebody watches for."""

    watch: str
    what: str  # `name`, `organisation`, `key`, `bytes`
    value: str  # what matched
    about: bytes  # the certificate's fold
    fingerprint: bytes
    place: Place | None

    def alert(self) -> Alert:
        """Return what is told: once for a precertificate and its certificate."""
        detail = {"certificate": self.fingerprint.hex(), "about": self.about.hex(), "value": self.value}
        subject = "certificate at hand"
        if self.place is not None:
            subject = self.place.origin
            detail["index"] = str(self.place.index)
        text = f"watched by {self.watch}: a certificate with the {self.what} {self.value}"
        key = f"watch {sha256(self.watch.encode()).hexdigest()[:16]} {self.about.hex()}"
        return Alert(key, Class.OPERATIONAL, "warning", subject, "watch", text, detail)


class WatchList:
    """All that is watched."""

    def __init__(self, watched: tuple[Watched, ...] = (), trouble: str = "") -> None:
        """`trouble` says why this is not what its file says now."""
        self.watched = watched
        self.trouble = trouble
        self._suffixes = _by_value((each, suffix) for each in watched for suffix in each.suffixes)
        self._organisations = _by_value((each, name) for each in watched for name in each.organisations)
        self._keys = _by_value((each, key) for each in watched for key in each.keys)
        # A wildcard one label above a watched name covers it.
        self._covered = _by_value((each, suffix.partition(".")[2]) for each in watched for suffix in each.suffixes)

    def matches(self, case: Case | Unreadable) -> list[Match]:
        """Return a match for each who watches, the first that is found."""
        if not self.watched:
            return []
        found: dict[str, tuple[str, str]] = {}
        looks = self._raw(case) if isinstance(case, Unreadable) else self._read(case)
        for each, what, value in looks:
            found.setdefault(each.name, (what, value))
        fingerprint = case.fold if isinstance(case, Unreadable) else case.fingerprint
        return [Match(name, what, value, case.fold, fingerprint, case.place) for name, (what, value) in found.items()]

    def _read(self, case: Case) -> Iterator[tuple[Watched, str, str]]:
        for each in self._keys.get(sha256(case.certificate.spki).digest(), ()):
            yield each, "key", sha256(case.certificate.spki).hexdigest()
        for written in _names(case):
            for name in _pieces(written):
                yield from self._name(name)
        for kind in (ORGANISATION, UNIT):
            for text in reading.values(case.subject, kind):
                for each in self._organisations.get(reading.folded(text), ()):
                    yield each, "organisation", text
        if case.odd:  # a name may stand where nothing can be read
            yield from self._raw(Unreadable(case.certificate.der, case.fold, case.place, ""))

    def _name(self, name: str) -> Iterator[tuple[Watched, str, str]]:
        wild, name = name.startswith("*."), name.removeprefix("*.")
        if wild:
            for each in self._covered.get(name, ()):
                yield each, "name", f"*.{name}"
        rest = name
        while rest:
            for each in self._suffixes.get(rest, ()):
                yield each, "name", f"*.{name}" if wild else name
            rest = rest.partition(".")[2]

    def _raw(self, case: Unreadable) -> Iterator[tuple[Watched, str, str]]:
        lowered = case.raw.lower()  # ASCII letters
        for each in self.watched:
            for suffix in each.suffixes:
                if suffix.encode() in lowered or unicode_name(suffix).encode() in case.raw:
                    yield each, "bytes", suffix
            for organisation in each.organisations:
                if organisation.encode() in lowered:
                    yield each, "bytes", organisation


def ascii_name(name: str) -> str:
    """Return a name of a host as it is compared: its A-labels in small letters, or what is nearest to them."""
    return _ascii_name_before(name) if len(name) <= _SHORT else _ascii_name(name)


@lru_cache(65_536)
def _ascii_name_before(name: str) -> str:
    return _ascii_name(name)


def _ascii_name(name: str) -> str:
    name = reading.folded(name).translate(_DOTS).strip(".")
    if name.isascii():
        return name
    wild, name = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    try:
        return wild + idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return wild + name


def unicode_name(name: str) -> str:
    """Return the U-labels of an ASCII name, or the name."""
    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name


def _names(case: Case) -> Iterator[str]:
    for tag, raw in case.alternatives:
        if tag in (DNS_NAME, MAIL_NAME):
            yield raw.decode("utf-8", "replace")
    for kind in (COMMON_NAME, EMAIL):
        yield from reading.values(case.subject, kind)


def _pieces(written: str) -> Iterator[str]:
    """Iterate over the names in what is written as one: a NUL ends one for some readers, an @ begins one."""
    for piece in written.replace("@", "\0").split("\0"):
        if piece:
            yield ascii_name(piece)


def _by_value(pairs: Iterator[tuple[Watched, _Value]]) -> Mapping[_Value, list[Watched]]:
    found: dict[_Value, list[Watched]] = {}
    for watched, value in pairs:
        found.setdefault(value, []).append(watched)
    return found
