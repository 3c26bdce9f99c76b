"""PURE: all rules over a case. A rule that raises is disabled until the next start, and the others go on.

What is found names what found it: the version of the rule table, the digest of the limits, the versions of the lists.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from monitor.alert import Alert, Class
from monitor.rules import indexed, profile, scope, table
from monitor.rules.case import Case, EventCase, Hit, Index, Lists, Place, Unreadable
from monitor.rules.limits import Limits
from monitor.rules.table import BY_CODE

_Judged = TypeVar("_Judged")
_SHOWN = 200  # characters of an error in an alert

BY_ITSELF: Mapping[str, Callable[[Case], Iterable[Hit]]] = {
    "P01": scope.listed_for_it,
    "P02": scope.policy_missing,
    "P04": profile.type_name,
    "P09": profile.validity,
    "P10": profile.weak_key,
    "P11": profile.weak_hash,
    "P13": profile.usages,
    "P16": profile.serial,
    "P19": profile.names,
    "J01": scope.registered,
    "J03": scope.accredited,
}
BY_LISTS = ("P01", "P02", "J01", "J03")  # none of these fires without trust lists
BY_STANDING = frozenset({"P01", "J01", "J03"})  # rest on `Case.standing` alone: judged once for each that is well
STANDINGS = 4_096  # remembered
STANDING_CHARS = 1_024  # of the policies in one that is remembered
BY_INDEX: Mapping[str, Callable[[Case, Index], Iterable[Hit]]] = {
    "P15": indexed.one_serial,
    "S11": indexed.logged_after_use,
}
OF_EVENTS: Mapping[str, Callable[[EventCase, Index], Iterable[Hit]]] = {
    "P13": indexed.used_to_encrypt,
    "S11": indexed.used_before_logged,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit about something, with what produced it. Known by `code` and `about`: there is one of both."""

    code: str
    about: bytes  # 32 bytes: as a rule the fold that a precertificate and its certificate share
    severity: str  # one of `table.SEVERITIES`
    cls: Class
    fingerprint: bytes  # SHA-256 of the certificate or precertificate as it was met
    issuer: bytes  # SHA-256 of the issuer's certificate, b"" where nobody knows
    place: Place | None
    text: str
    evidence: Mapping[str, Any]
    produced: Mapping[str, Any]  # {"rules": version, "limits": hex digest, "lists": {side: version}}

    def alert(self) -> Alert:
        """Return what is told: of medium and low ones one alert for each rule and issuer, else one for each."""
        single = self.severity in (table.CRITICAL, table.HIGH)
        key = f"{self.code} {(self.about if single else self.issuer).hex()}".rstrip()  # what has no issuer
        detail: dict[str, Any] = {"about": self.about.hex(), "certificate": self.fingerprint.hex()}
        subject = "certificate at hand"
        if self.place is not None:
            subject = self.place.origin
            detail["index"] = self.place.index
        more = "" if single else " (further ones of this issuer are findings, without an alert of their own)"
        text = f"{self.code}: {self.text}{more}"
        return Alert(f"rule {key}", self.cls, table.ALERTED[self.severity], subject, self.code, text, detail)


@dataclass
class Engine:
    """The rules with their limits. Replaceable functions, so that a test can break one."""

    limits: Limits
    by_itself: Mapping[str, Callable[[Case], Iterable[Hit]]] = field(default_factory=lambda: BY_ITSELF)
    by_index: Mapping[str, Callable[[Case, Index], Iterable[Hit]]] = field(default_factory=lambda: BY_INDEX)
    of_events: Mapping[str, Callable[[EventCase, Index], Iterable[Hit]]] = field(default_factory=lambda: OF_EVENTS)
    disabled: dict[str, str] = field(default_factory=dict)  # by code: the error
    _well: set[tuple[object, ...]] = field(
        default_factory=set, repr=False
    )  # standings with which BY_STANDING is content

    def judge(self, case: Case | Unreadable) -> list[Hit]:
        """Return what shows without an index."""
        if isinstance(case, Unreadable):
            return [Hit("UNPARSABLE", f"no certificate: {case.why}", {"begins": case.raw[:64].hex()})]
        standing, found = case.standing, list[Hit]()
        well = standing in self._well
        for code, rule in self.by_itself.items():
            if not (well and code in BY_STANDING):
                found += self._try(code, rule, case)
        if (
            not well
            and BY_STANDING.isdisjoint(self.disabled)
            and BY_STANDING.isdisjoint(hit.code for hit in found)
            and sum(map(len, case.certificate.policies)) <= STANDING_CHARS
        ):
            if len(self._well) >= STANDINGS:
                self._well.clear()
            self._well.add(standing)
        if case.odd:
            found.append(Hit("UNPARSABLE", f"cannot be read: {'; '.join(case.odd)}", {"parts": list(case.odd)}))
        return found

    def judge_indexed(self, case: Case, index: Index) -> list[Hit]:
        """Return what shows by the index, before the case itself is in it."""
        rules = self.by_index.items()
        return [hit for code, rule in rules for hit in self._try(code, lambda each, r=rule: r(each, index), case)]  # type: ignore[misc]

    def judge_event(self, case: EventCase, index: Index) -> list[Hit]:
        """Return what shows of an event by the index."""
        rules = self.of_events.items()
        return [hit for code, rule in rules for hit in self._try(code, lambda each, r=rule: r(each, index), case)]  # type: ignore[misc]

    def finding(self, hit: Hit, case: Case | Unreadable) -> Finding:
        """Return the finding of a hit about a certificate."""
        if isinstance(case, Unreadable):
            return self._finding(hit, case.fold, case.fold, b"", case.place, self.produced(None))
        digest = case.issuer_digest or b""
        return self._finding(hit, case.fold, case.fingerprint, digest, case.place, self.produced(case.lists))

    def event_finding(self, hit: Hit, certificate: bytes, place: Place, lists: Lists) -> Finding:
        """Return the finding of a hit about the use of a certificate (SHA-256)."""
        return self._finding(hit, certificate, certificate, b"", place, self.produced(lists))

    def produced(self, lists: Lists | None) -> dict[str, Any]:
        """Say what version of what judges."""
        newest = {} if lists is None else lists.at(_NOW_MS)
        versions = {name: side.version for name, side in sorted(newest.items())}
        return {"rules": table.VERSION, "limits": self.limits.digest.hex(), "lists": versions}

    def alerts(self) -> list[Alert]:
        """Say which rules are disabled, each in an alert about ourselves."""
        return [
            Alert(disabled(code), Class.OWN, "error", code, "rule-disabled",
                  f"rule {code} failed and is not judged until the next start: {error}")
            for code, error in sorted(self.disabled.items())
        ]  # fmt: skip

    def _try(self, code: str, rule: Callable[[_Judged], Iterable[Hit]], case: _Judged) -> list[Hit]:
        if code in self.disabled:
            return []
        try:
            return list(rule(case))
        except Exception as e:  # noqa: BLE001 - a bug in one rule must not stop the others; it is told
            self.disabled[code] = f"{type(e).__name__}: {e}"[:_SHOWN]
            return []

    @staticmethod
    def _finding(
        hit: Hit, about: bytes, fingerprint: bytes, issuer: bytes, place: Place | None, produced: dict[str, Any]
    ) -> Finding:
        rule = BY_CODE[hit.code]
        severity, cls = hit.severity or rule.severity, rule.sure or Class.SUSPECTED
        known_by = hit.about or about
        return Finding(hit.code, known_by, severity, cls, fingerprint, issuer, place, hit.text, hit.evidence, produced)


def disabled(code: str) -> str:
    """Return the key of the alert that a rule is disabled."""
    return f"rule-disabled {code}"


_NOW_MS = 2**53  # after every date: the newest versions
