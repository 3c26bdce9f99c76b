"""The rule table of domain.md §3 as data: all 45 codes, and which of them are judged here.

`sure` says what class a hit has: PROVEN where the signed bytes of certificates alone show it, SUSPECTED where lists,
dates or other records are part of the judgement and may be wrong.
"""

from dataclasses import dataclass

from monitor.alert import Class

VERSION = 1  # rises with every change to what a rule means; each finding names it

CRITICAL, HIGH, MEDIUM, LOW = "critical", "high", "medium", "low"
SEVERITIES = (CRITICAL, HIGH, MEDIUM, LOW)  # from the worst on
ALERTED = {CRITICAL: "critical", HIGH: "error", MEDIUM: "warning", LOW: "info"}  # as `monitor.alert` calls them


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, whether it is judged or not."""

    code: str
    severity: str  # one of SEVERITIES
    title: str
    needs: str  # what data it rests on
    sure: Class | None = None  # the class of a hit; None: not judged yet
    without: str = ""  # what a judged rule leaves out; of one that is not judged, what it waits for

    @property
    def judged(self) -> bool:
        """Whether hits of this rule can be found."""
        return self.sure is not None


_PROVEN, _SUSPECTED = Class.PROVEN, Class.SUSPECTED

RULES = (
    Rule("P01", CRITICAL, "the policy of mutual recognition under an issuer that is not listed for it at notBefore",
         "certificate, trust lists", _SUSPECTED),
    Rule("P02", MEDIUM, "a type that is mutually recognised, without the policy of mutual recognition",
         "certificate, trust lists", _SUSPECTED),
    Rule("P03", MEDIUM, "a version of the policy that is unknown or not in force at notBefore",
         "table of policy versions", None, "the versions of the certificate policy with their dates"),
    Rule("P04", HIGH, "the type named in O contradicts what the other fields say",
         "subject", _SUSPECTED),
    Rule("P05", MEDIUM, "the policy of the CA's practice statement is absent or not a published one",
         "table of practice statements", None, "the practice statements of each CA with their dates"),
    Rule("P06", HIGH, "a field that Article 21 of the Electronic Signature Law asks for is missing",
         "certificate", None, "a second reading of the law's list"),
    Rule("P07", HIGH, "certificatePolicies is malformed or a qualifier is missing",
         "certificate", None, "profiles of each CA"),
    Rule("P08", MEDIUM, "O, OU or CN longer than X.520 allows", "certificate", None, "a second judgement"),
    Rule("P09", HIGH, "valid for longer than its class may be, or beyond its issuer",
         "certificate, issuer, limits", _SUSPECTED),
    Rule("P10", CRITICAL, "a weak key: RSA too short, a curve that is not allowed or is spelt out",
         "public key, limits", _PROVEN),
    Rule("P11", HIGH, "signed with MD5 or SHA-1 after the cut-off date", "signature algorithm, limits", _PROVEN),
    Rule("P12", HIGH, "an SM2 signature that verifies with an empty user ID only",
         "issuer's key", None, "SM2 with other user IDs in libcrypto's wrapper"),
    Rule("P13", HIGH, "key usages that do not go together, or an encryption certificate where signatures are due",
         "key usage, events", _PROVEN),
    Rule("P14", MEDIUM, "the certificates of a pair contradict each other",
         "index of pairs", None, "an index by subject"),
    Rule("P15", CRITICAL, "one serial, one issuer, two different certificates", "index of serials", _PROVEN),
    Rule("P16", MEDIUM, "a serial that is zero, negative, over 20 octets or too short to be random",
         "serial, limits", _PROVEN, "serials in a row"),
    Rule("P17", CRITICAL, "one key in certificates of two subjects, or again after it was compromised",
         "index of keys", None, "an index by key"),
    Rule("P18", MEDIUM, "an address for status or issuer that is missing, private or not reachable",
         "URLs in extensions", None, "what each CA must give"),
    Rule("P19", LOW, "malformed names: dNSName with spaces, a wrong type of string, a country of another jurisdiction",
         "names, trust lists", _PROVEN),
    Rule("P20", HIGH, "an identity number in clear or in base64", "certificate", None, "checksums of such numbers"),
    Rule("J01", CRITICAL, "the policy of mutual recognition by a CA of no jurisdiction of the scheme",
         "trust lists, limits", _SUSPECTED),
    Rule("J02", HIGH, "an organisation without a valid registration number", "registers", None, "registers"),
    Rule("J03", CRITICAL, "issued while the CA's recognition had lapsed, was suspended or withdrawn",
         "trust lists", _SUSPECTED),
    Rule("J04", MEDIUM, "the CA's yearly assessment was overdue", "disclosure records", None, "disclosure records"),
    Rule("J05", HIGH, "used outside its purpose", "events", None, "types of certificates in events"),
    Rule("J06", HIGH, "a class of documents that the law excludes", "events", None, "the dated list of classes"),
    Rule("J07", MEDIUM, "over the reliance limit, or a minor's", "value bands", None, "values, which no event has"),
    Rule("J08", HIGH, "personal data across the boundary without a basis", "events", None, "the list of cities"),
    Rule("S01", CRITICAL, "signed outside the certificate's validity", "events", None, "judging of events"),
    Rule("S02", CRITICAL, "signed after revocation", "revocation events", None, "judging of events"),
    Rule("S03", CRITICAL, "a seal used outside its validity or after its revocation",
         "seals", None, "seals, which the log has digests of only"),
    Rule("S04", CRITICAL, "the signer is not among the seal's certificates", "seals", None, "seals"),
    Rule("S05", CRITICAL, "a seal bound to another enterprise", "seals, registers", None, "seals and registers"),
    Rule("S06", CRITICAL, "a seal maker that is not authorised", "list of makers", None, "the list of makers"),
    Rule("S07", HIGH, "more live seals than allowed", "index of seals", None, "an index of seals"),
    Rule("S08", HIGH, "backdated", "times of events", None, "judging of events"),
    Rule("S09", LOW, "a gap of exactly eight hours", "times of events", None, "judging of events"),
    Rule("S10", HIGH, "a time stamp that does not hold", "time-stamp tokens", None, "tokens, which no leaf has"),
    Rule("S11", CRITICAL, "a certificate that was not logged before its first use",
         "events, index of certificates", _SUSPECTED),
    Rule("S12", CRITICAL, "logged and not published, or published and not logged",
         "CAs' repositories", None, "copies of the repositories"),
    Rule("S13", MEDIUM, "one document signed twice by one seal", "restricted index", None, "the vault"),
    Rule("S14", MEDIUM, "an unusual rate", "statistics", None, "statistics"),
    Rule("S15", HIGH, "two jurisdictions hold different statuses of one certificate",
         "trust lists", None, "a comparison of the lists"),
    Rule("L01", CRITICAL, "a promise of a log that was broken", "proofs", None,
         "nothing: E1 to E5 are found beside these rules, as evidence"),
    Rule("L02", HIGH, "revoked later than the deadline", "revocation events", None, "judging of events"),
)  # fmt: skip

UNPARSABLE = Rule(
    "UNPARSABLE", MEDIUM, "an entry of which a part cannot be read", "entry", _PROVEN
)  # no rule of the table, and yet to be told: monitoring.md §6 row 28

OTHER_BRANCH = Rule(
    "BRANCH",
    CRITICAL,
    "a certificate that stands only on the branch of a fork that we do not follow",
    "a fork",
    _PROVEN,
)  # nor is this one: monitoring.md §5.5; found by `monitor.branches`

BY_CODE = {rule.code: rule for rule in (*RULES, UNPARSABLE, OTHER_BRANCH)}
