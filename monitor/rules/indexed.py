"""PURE: rules that need what was logged before: P15, S11, and P13 of events (domain.md §3).

Which of two entries comes first here is chance: both ways round the same hit is found. S11 fires when the event comes
to a certificate logged too late, and when the certificate comes to its event; that it never comes is for the caller
to say, who knows how far the logs have been judged (`never_logged`).
"""

from collections.abc import Iterator
from dataclasses import replace

from monitor.rules.case import Case, EventCase, Hit, Index, Use

_MINUTE_MS = 60_000  # events' times are whole minutes: a certificate of the same minute was in time


def one_serial(case: Case, index: Index) -> Iterator[Hit]:
    """P15: under one issuer's name."""
    other = index.same_serial(case.serial_key, case.fold)
    if other is not None:
        evidence = {
            "serial": case.certificate.serial[:64].hex(),
            "other": {"origin": other.origin, "index": other.index, "fold": other.fold.hex()},
        }
        yield Hit("P15", "another certificate of this issuer has the same serial", evidence)


def logged_after_use(case: Case, index: Index) -> Iterator[Hit]:
    """S11, when the certificate comes after its event."""
    use = index.first_use(case.fingerprint)
    if use is not None and case.place is not None and index.logged(case.fingerprint) is None:
        yield from _late(use, case.place.time_ms, case.place.origin, case.place.index)


def used_before_logged(case: EventCase, index: Index) -> Iterator[Hit]:
    """S11, when the event comes after its certificate."""
    event, place = case.event, case.place
    reference = event.certificate_ref
    if event.certificate is None:
        return
    logged = [index.logged(event.certificate)]
    if reference is not None:  # the certificate's leaf, or its precertificate's
        logged.append(index.logged_at(reference.origin, reference.index))
    there = [each for each in logged if each is not None]
    if there:
        first = min(there, key=lambda each: each.time_ms)
        use = Use(event.at_ms, place.origin, place.index)
        for hit in _late(use, first.time_ms, first.origin, first.index):
            yield replace(hit, about=first.fold)


def used_to_encrypt(case: EventCase, index: Index) -> Iterator[Hit]:
    """P13: a signature that rests on a certificate whose key may not sign."""
    if case.event.certificate is None or case.event.sig_digest is None:
        return
    logged = index.logged(case.event.certificate)
    if logged is not None and not logged.signs:
        evidence = {
            "event": {"origin": case.place.origin, "index": case.place.index},
            "certificate": case.event.certificate.hex(),
        }
        text = "a signature rests on a certificate for encryption"
        yield Hit("P13", text, evidence, about=case.event.certificate)


def never_logged(use: Use) -> Hit:
    """S11: all logs have been judged up to a time after the event, and none has the certificate."""
    text = "used, and no log that is followed has it; its precertificate may be logged"
    return Hit("S11", text, {"event": {"origin": use.origin, "index": use.index}, "at_ms": use.at_ms})


def _late(use: Use, logged_ms: int, origin: str, index: int) -> Iterator[Hit]:
    if logged_ms >= use.at_ms + _MINUTE_MS:
        evidence = {
            "event": {"origin": use.origin, "index": use.index},
            "at_ms": use.at_ms,
            "logged": {"origin": origin, "index": index, "time_ms": logged_ms},
        }
        yield Hit("S11", "logged after it was used first", evidence)
