"""PURE: rules about what the issuer may do, by both sides' trust lists at notBefore: P01, P02, J01, J03 (domain.md §3).

Without lists, or without knowing the issuer, none of them fires. What a list does not know of a date (`unknown`) is no
hit: see `log.certs.trustlist_rows`.
"""

from collections.abc import Iterator

from log.certs.trustlist_rows import Status, best
from monitor.rules import reading
from monitor.rules.case import Case, Hit, status_of

_GOOD = (Status.LISTED, Status.UNKNOWN)
_LAPSED = (Status.ENDED, Status.SUSPENDED, Status.WITHDRAWN)


def listed_for_it(case: Case) -> Iterator[Hit]:
    """P01: each list must have the issuer for one of the policies. Suspended and withdrawn is J03's."""
    if not case.recognition or not case.then or case.issuer_digest is None or case.certificate.is_ca:
        return
    said = {}
    for name, side in case.then.items():
        rows = side.types_of(case.recognition, case.issuer_digest)
        date_ms = case.certificate.not_before_ms
        said[name] = best(side.type_status(row.id, date_ms, case.issuer_digest) for row in rows)
    counts = status_of(said)
    if counts not in (*_GOOD, Status.SUSPENDED, Status.WITHDRAWN):
        evidence = _evidence(case) | {"status": {name: str(status) for name, status in said.items()}}
        yield Hit("P01", f"names the policy of mutual recognition; its issuer is not listed for it: {counts}", evidence)


def policy_missing(case: Case) -> Iterator[Hit]:
    """P02: the subject names a type that a list has under this issuer with such a policy."""
    arc = case.limits.find("policy_arc", case.certificate.not_before_ms)
    if case.recognition or arc is None or case.issuer_digest is None or case.certificate.is_ca:
        return
    names = {reading.folded(name) for name in reading.values(case.subject, reading.ORGANISATION)}
    names |= {reading.folded(name) for name in reading.values(case.subject, reading.UNIT)}
    for name, side in case.then.items():
        for row in case.types(side):
            recognised = any(policy.startswith(f"{arc.value}.") for policy in row.policy_oids)
            status = side.type_status(row.id, case.certificate.not_before_ms, case.issuer_digest)
            if recognised and status in _GOOD and reading.folded(row.name) in names:
                evidence = _evidence(case) | {"type": row.id, "side": name}
                yield Hit("P02", f"of the type {row.name}, without the policy of mutual recognition", evidence)
                return


def registered(case: Case) -> Iterator[Hit]:
    """J01: the issuer is on a list, and one of the jurisdictions of the scheme has it."""
    if not case.recognition or not case.then or case.issuer_digest is None or case.certificate.is_ca:
        return
    scheme = case.limits.all("jurisdiction", case.certificate.not_before_ms)
    statuses = set(case.issuer_status().values())
    found = {row.jurisdiction for side in case.then.values() for row in case.types(side)}
    if statuses <= {Status.ABSENT, Status.OBSERVED}:
        yield Hit("J01", "names the policy of mutual recognition; its CA is recognised by nobody", _evidence(case))
    elif strange := sorted(found - scheme.keys()):
        text = f"names the policy of mutual recognition; its CA is of {strange[0]}, which is not in the scheme"
        yield Hit("J01", text, _evidence(case) | {"jurisdictions": sorted(found)})


def accredited(case: Case) -> Iterator[Hit]:
    """J03: by any side."""
    if case.issuer_digest is None or case.certificate.is_ca:
        return
    said = case.issuer_status()
    for name, side in case.then.items():
        date_ms = case.certificate.not_before_ms
        types = [
            side.type_status(row.id, date_ms, case.issuer_digest)
            for row in side.types_of(case.certificate.policies, case.issuer_digest)
        ]
        if said[name] in _GOOD and types and best(types) in (Status.SUSPENDED, Status.WITHDRAWN):
            said[name] = best(types)
    lapsed = {name: str(status) for name, status in said.items() if status in _LAPSED}
    if lapsed:
        words = ", ".join(f"{status} by {name}" for name, status in sorted(lapsed.items()))
        yield Hit("J03", f"issued by a CA that was {words}", _evidence(case) | {"status": lapsed})


def _evidence(case: Case) -> dict[str, object]:
    return {
        "policies": list(case.certificate.policies[:8]),
        "issuer": None if case.issuer_digest is None else case.issuer_digest.hex(),
        "not_before_ms": case.certificate.not_before_ms,
    }
