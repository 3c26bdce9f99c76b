"""Every error that Twinlog raises on purpose, drawn as one tree.

    LogError
    ├── Malformed                 400   bytes or text that are not in their format
    │   └── Redirected            400   an answer that points elsewhere, where nobody goes
    ├── Refused                   400   well formed, but not admitted; carries a reason code
    │   ├── TooLarge              413   over a named limit
    │   ├── UnknownCoding         415   a body in a content or transfer coding that is not taken
    │   ├── Closed                410   the log takes no more entries
    │   ├── RateLimited           429   over a rate; try again after `retry_after_s`
    │   ├── Unavailable           503   not now: pool full, disk low, unguarded, stopping
    │   └── SuiteUnavailable      503   this machine's libraries lack a signature suite
    ├── Denied                    403   the caller may not do this
    │   └── Unauthenticated       401   the caller has not said who it is
    ├── Conflict                  409   contradicts what this node holds; nothing was taken
    │   └── OutOfTurn             409   an action that does not follow the ones before it; says the next seq
    ├── NotFound                  404   no such leaf, tile, certificate or origin
    ├── NotYet                    202   known, but no witnessed head covers it yet
    ├── VerificationError           -   bytes that parse, but do not prove what they claim
    │   ├── BadSignature            -   a known key's signature does not verify, or none is there
    │   ├── BadProof                -   hashes that do not lead to the root
    │   ├── PolicyNotMet            -   too few cosignatures for the policy
    │   └── Mismatch                -   stored or served bytes differ from what they must be
    ├── StorageError                -
    │   ├── StoreMissing            -   a row that must be there is not
    │   ├── StoreLocked             -   another process holds the folder
    │   └── StoreFailed             -   a write failed or its outcome is unknown; never write again
    ├── StateRefused                -   the state on disk forbids to go on (exit 3)
    ├── SettingsError               -   a setting is missing, unknown or wrong (exit 2)
    └── Unreachable                 -   the other end of a connection did not answer as HTTP

The numbers are HTTP status codes; `log.api.errors` turns a class into its answer. Our own bugs are
`AssertionError`, never a `LogError`.
"""


class LogError(Exception):
    """The root of the tree: a message for people, without secrets."""


class Malformed(LogError):
    """Input that no writer of its format would produce. The only error a parser raises."""


class Redirected(Malformed):
    """The other end points elsewhere; an origin is its URL, so nobody goes there."""


class Refused(LogError):
    """A submission that is well formed but not admitted.

    `reason` is a stable word for machines (`unknown-root`, `bad-signature`, …), the message is for people.
    """

    def __init__(self, message: str, reason: str = "refused") -> None:
        super().__init__(message)
        self.reason = reason


class TooLarge(Refused):
    """Over a limit; the message names the limit."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "too-large")


class UnknownCoding(Refused):
    """A body that is compressed or otherwise coded: no request here needs it, and what it unpacks to is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "coding")


class Closed(Refused):
    """The log is closed for writes, for ever."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "closed")


class RateLimited(Refused):
    """Too many at once from one source; `retry_after_s` in whole seconds."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message, "rate")
        self.retry_after_s = retry_after_s


class Unavailable(Refused):
    """Not now, whoever asks; `retry_after_s` in whole seconds."""

    def __init__(self, message: str, retry_after_s: int = 5, reason: str = "unavailable") -> None:
        super().__init__(message, reason)
        self.retry_after_s = retry_after_s


class SuiteUnavailable(Unavailable):
    """The signature suite needs a library that this machine does not have."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=5, reason="suite-unavailable")


class Denied(LogError):
    """The caller may not do this; the message says what is missing, not what is there."""


class Unauthenticated(Denied):
    """The caller did not identify itself, or with a credential that is not known."""


class Conflict(LogError):
    """What came contradicts the state here: another root at that size, an older start, a stale size."""


class OutOfTurn(Conflict):
    """An action whose seq or previous hash does not follow what its chain holds; `next_seq` would."""

    def __init__(self, message: str, next_seq: int) -> None:
        super().__init__(message)
        self.next_seq = next_seq


class NotFound(LogError):
    """Nothing of that name."""


class NotYet(LogError):
    """The leaf is in the log, but the witnessed head does not cover it yet."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VerificationError(LogError):
    """Well-formed bytes that do not prove what they claim."""


class BadSignature(VerificationError):
    """No signature of a known key, or one that does not verify."""


class BadProof(VerificationError):
    """A Merkle proof that does not lead to the root."""


class PolicyNotMet(VerificationError):
    """The cosignatures present do not meet the policy's quorum."""


class Mismatch(VerificationError):
    """The first byte at which stored or served data differ from what they must be.

    `where` is a key or path, `offset` counts bytes from 0, `expected` and `found` are short hex strings.
    """

    def __init__(self, where: str, offset: int, expected: str, found: str) -> None:
        super().__init__(f"{where}: byte {offset} is wrong: expected {expected}, found {found}")
        self.where = where
        self.offset = offset
        self.expected = expected
        self.found = found


class StorageError(LogError):
    """A store could not do what was asked."""


class StoreMissing(StorageError):
    """A row below the published size is absent."""


class StoreLocked(StorageError):
    """Another process holds the store."""


class StoreFailed(StorageError):
    """A write failed, or nobody can say whether it did. The process must not write there again."""


class StateRefused(LogError):
    """What lies on disk contradicts itself or the head store; the message says which."""


class SettingsError(LogError):
    """A setting is missing, unknown or out of range; the message names it."""


class Unreachable(LogError):
    """A peer could not be reached, or did not answer in time; `retry_after_s` when it said that it is busy, else 0."""

    def __init__(self, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
