"""PURE: rules about a certificate by itself and its issuer: P04, P09, P10, P11, P13, P16, P19 (domain.md §3)."""

from collections.abc import Iterator
from functools import lru_cache

from log.errors import Malformed
from monitor.rules import reading
from monitor.rules.case import Case, Hit
from monitor.rules.limits import Era, Row
from monitor.rules.reading import (
    COMMON_NAME,
    COUNTRY,
    DATA_ENCIPHERMENT,
    DIGITAL_SIGNATURE,
    DNS_NAME,
    EMAIL,
    IA5,
    KEY_AGREEMENT,
    KEY_ENCIPHERMENT,
    MAIL_NAME,
    NON_REPUDIATION,
    ORGANISATION,
    ORGANISATION_ID,
    PRINTABLE,
    SERVER_AUTH,
    UNIT,
)
from monitor.rules.table import LOW

_DAY_MS = 86_400_000
_SIGNATURES = DIGITAL_SIGNATURE | NON_REPUDIATION
_ENCIPHERMENT = KEY_ENCIPHERMENT | DATA_ENCIPHERMENT
_SHOWN = 80  # characters of a value in evidence


def type_name(case: Case) -> Iterator[Hit]:
    """P04. A personal type has one unit, the subscriber's number; an organisational one names an organisation."""
    date_ms = case.certificate.not_before_ms
    named = _class_of(case)
    if named is None:
        return
    units = [reading.folded(unit) for unit in _texts(case, UNIT)]
    evidence = {"O": named.name, "OU": [unit[:_SHOWN] for unit in units[:8]]}
    if named.value == "organisational":
        if all(unit.isdecimal() for unit in units):
            yield Hit("P04", "the type is one for organisations, and no field names an organisation", evidence)
        return
    row = case.limits.find("company", date_ms)
    ends = () if row is None else row.value
    names = [reading.folded(name) for name in _texts(case, COMMON_NAME)]
    company = next((name for name in names if any(name.endswith(end) for end in ends)), None)
    if company is not None:
        text = "the type is one for persons, and the common name is a company's"
        yield Hit("P04", text, evidence | {"CN": company[:_SHOWN]})
    elif len(units) > 1 or any(True for _ in _texts(case, ORGANISATION_ID)):
        yield Hit("P04", "the type is one for persons, and there are fields of an organisation", evidence)


def validity(case: Case) -> Iterator[Hit]:
    """P09. Both ends of a validity belong to it (RFC 5280 section 4.1.2.5); a day is 86,400 s."""
    certificate = case.certificate
    lasts_ms = certificate.not_after_ms - certificate.not_before_ms
    named = _class_of(case)
    row = None if named is None else case.limits.find("validity_days", certificate.not_before_ms, str(named.value))
    row = row or case.limits.find("validity_days", certificate.not_before_ms, "any")
    dates = {"not_before_ms": certificate.not_before_ms, "not_after_ms": certificate.not_after_ms}
    if row is not None and not certificate.is_ca and lasts_ms > row.value * _DAY_MS:
        text = f"valid for {-(-lasts_ms // _DAY_MS)} days, where {row.value} are allowed"
        yield Hit("P09", text, dates | {"limit_days": row.value})
    elif case.issuer is not None and certificate.not_after_ms > case.issuer.not_after_ms:
        evidence = dates | {"issuer_not_after_ms": case.issuer.not_after_ms}
        yield Hit("P09", "valid for longer than the certificate of its issuer", evidence)


def weak_key(case: Case) -> Iterator[Hit]:
    """P10."""
    try:
        key = reading.key(case.certificate.spki)
    except Malformed as e:
        yield Hit("P10", f"a public key that cannot be read: {e}", {"spki": case.certificate.spki[:64].hex()})
        return
    date_ms = case.certificate.not_before_ms
    if key.kind == "rsa":
        row = case.limits.find("rsa_bits", date_ms)
        if row is not None and key.bits is not None and key.bits < row.value:
            evidence = {"key": "rsa", "bits": key.bits, "limit_bits": row.value}
            yield Hit("P10", f"an RSA key of {key.bits} bits, where {row.value} are the least", evidence)
        return
    row = case.limits.find("curves", date_ms)
    if key.kind == "explicit":
        yield Hit("P10", "an elliptic-curve key that spells out its curve", {"key": "explicit"})
    elif row is not None and key.kind not in row.value:
        yield Hit("P10", f"a key that is not allowed: {key.kind}", {"key": key.kind, "allowed": list(row.value)})


def weak_hash(case: Case) -> Iterator[Hit]:
    """P11. The signature is dated by notBefore; of two weak algorithms the one in the TBSCertificate is told."""
    for algorithm in dict.fromkeys((case.certificate.tbs_algorithm, case.certificate.signature_algorithm)):
        try:
            name = reading.weak_hash(algorithm)
        except Malformed:
            continue  # UNPARSABLE says so
        if name == "md2":
            name = "md5"  # older and weaker: it falls under every limit of MD5
        row = None if name is None else case.limits.find("weak_hash", case.certificate.not_before_ms, name)
        if row is not None:
            evidence = {"algorithm": algorithm.hex(), "not_before_ms": case.certificate.not_before_ms}
            since = {"from_ms": row.from_ms}
            called = row.name.upper().replace("SHA1", "SHA-1")
            yield Hit("P11", f"signed with {called} after its cut-off date", evidence | since)
            return


def usages(case: Case) -> Iterator[Hit]:
    """P13. A TLS server's key may sign and encipher keys (RFC 5246 section 7.4.2): that alone is no hit."""
    usage = case.usage
    if usage is None or case.certificate.is_ca:
        return
    try:
        server = SERVER_AUTH in reading.purposes(case.certificate)
    except Malformed:
        server = False
    evidence = {"key_usage": f"{usage:02x}"}
    if usage & _SIGNATURES and usage & _ENCIPHERMENT:
        if not (server and usage & (_SIGNATURES | _ENCIPHERMENT) == DIGITAL_SIGNATURE | KEY_ENCIPHERMENT):
            yield Hit("P13", "one key for signatures and for encipherment", evidence)
    elif not usage & _SIGNATURES and usage & (_ENCIPHERMENT | KEY_AGREEMENT) and not server:
        text = "a certificate for encryption: no signature may rest on it"
        yield Hit("P13", text, evidence, LOW)  # right by itself; an event that uses it is of the rule's own severity


def serial(case: Case) -> Iterator[Hit]:
    """P16. The octets are those of the INTEGER's content."""
    number, date_ms = case.certificate.serial_number, case.certificate.not_before_ms
    octets, bits = case.limits.find("serial_octets", date_ms), case.limits.find("serial_bits", date_ms)
    evidence = {"serial": case.certificate.serial[:64].hex(), "octets": len(case.certificate.serial)}
    if number <= 0:
        yield Hit("P16", "a serial that is zero or negative", evidence)
    elif octets is not None and len(case.certificate.serial) > octets.value:
        yield Hit("P16", f"a serial of {len(case.certificate.serial)} octets", evidence)
    elif bits is not None and number.bit_length() < bits.value:
        length = number.bit_length()
        text = f"a serial of {length} bit{'' if length == 1 else 's'}, too short to be random"
        yield Hit("P16", text, evidence | {"limit_bits": bits.value})


def names(case: Case) -> Iterator[Hit]:
    """P19: what DNS names, types of strings (RFC 5280 appendix A) and countries are wrong."""
    for tag, raw in case.alternatives:
        if tag == DNS_NAME and (not raw or any(byte <= 0x20 or byte >= 0x7F for byte in raw)):
            yield Hit("P19", "a dNSName that is none", {"dNSName": raw[:_SHOWN].hex()})
            return
        if tag == MAIL_NAME and any(byte >= 0x80 for byte in raw):
            yield Hit("P19", "an e-mail address that is not ASCII", {"tag": tag})
            return
    for each in case.subject:
        if each.oid == COUNTRY and (each.tag != PRINTABLE or len(each.raw) != 2):
            evidence = {"countryName": each.raw[:_SHOWN].hex(), "tag": each.tag}
            yield Hit("P19", "a country that is not a PrintableString of two letters", evidence)
            return
        if each.oid == EMAIL and each.tag != IA5:
            yield Hit("P19", "an e-mail address that is no IA5String", {"tag": each.tag})
            return
    yield from _country(case)


def _country(case: Case) -> Iterator[Hit]:
    """Compare the subject's country with that of the types that the issuer issues."""
    known = case.limits.all("jurisdiction", case.certificate.not_before_ms)
    listed = {row.jurisdiction for side in case.then.values() for row in case.types(side)}
    allowed = {known[name].value for name in listed if name in known}
    country = next(_texts(case, COUNTRY), None)
    if allowed and country is not None and country.upper() not in allowed and not case.certificate.is_ca:
        evidence = {"country": country[:_SHOWN], "allowed": sorted(allowed)}
        yield Hit("P19", f"the subject's country is {country[:2]}, the issuer's jurisdiction another", evidence)


def _class_of(case: Case) -> Row | None:
    """Return the class whose name stands in an O."""
    classes = _classes(case.limits.on(case.certificate.not_before_ms))
    for each in case.subject:
        if each.oid == ORGANISATION and (row := classes.get(reading.folded(each.text))) is not None:
            return row
    return None


@lru_cache(64)
def _classes(era: Era) -> dict[str, Row]:
    """Return the classes by their folded names."""
    return {reading.folded(name): row for name, row in era.by_kind.get("class", {}).items()}


def _texts(case: Case, oid: bytes) -> Iterator[str]:
    return reading.values(case.subject, oid)
