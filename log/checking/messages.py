"""What a node and its checking processes say to each other: MessagePack behind a length, over a socket pair.

    node -> worker      Rules, for each log, before its first Check and whenever they change; Check
    worker -> node      Admit or Refuse, one for each Check, in any order

A frame is u32 length, big-endian, and as many bytes. Both ends are this program in this version, so nothing here
is a format to keep.
"""

from collections.abc import Sequence

import msgspec

from log.errors import LogError, Malformed, Refused, SuiteUnavailable, TooLarge

_LENGTH_SIZE = 4


class Rules(msgspec.Struct, frozen=True, tag=True):
    """What a log admits. Times in POSIX milliseconds."""

    log_name: str
    anchors: tuple[tuple[bytes, bool], ...]  # DER; whether SHA-1 is admitted below it
    precert_signing: bool
    window: tuple[int, int] | None
    max_chain: int
    shards: tuple[tuple[str, tuple[int, int]], ...] = ()  # who takes what this log's window does not, in words


class Check(msgspec.Struct, frozen=True, tag=True):
    """A submission: DER certificates, leaf first."""

    number: int  # chosen by the node; the answer bears it
    log_name: str
    chain: Sequence[bytes]
    precert: bool


class Admit(msgspec.Struct, frozen=True, tag=True):
    """The entry that a submission becomes, and which certificates stand behind its leaf."""

    number: int
    head: bytes
    tail: bytes
    digests: tuple[bytes, ...]  # SHA-256 of each certificate behind the leaf, the anchor last
    issuer: bytes  # SHA-256 of the SPKI that signed the leaf


class Refuse(msgspec.Struct, frozen=True, tag=True):
    """Why a submission is not admitted."""

    number: int
    kind: str  # of the error
    text: str
    reason: str

    @classmethod
    def of(cls, number: int, error: Exception) -> "Refuse":
        """Return the message that `error` of this message's answer is like what was raised."""
        return cls(number, type(error).__name__, str(error), getattr(error, "reason", ""))

    def error(self) -> Exception:
        """Return the error as it was raised; `RuntimeError` for what no check raises on purpose."""
        if self.kind == Refused.__name__:
            return Refused(self.text, self.reason)
        kind = _KINDS.get(self.kind)
        return RuntimeError(f"a check failed with {self.kind}: {self.text}") if kind is None else kind(self.text)


_KINDS: dict[str, type[LogError]] = {kind.__name__: kind for kind in (Malformed, TooLarge, SuiteUnavailable)}

_encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Rules | Check).decode
decode_answer = msgspec.msgpack.Decoder(Admit | Refuse).decode


def frame(message: msgspec.Struct) -> bytes:
    """Return the message as a frame."""
    body = _encode(message)
    return len(body).to_bytes(_LENGTH_SIZE) + body


class Frames:
    """Cuts a stream of bytes into the bodies of frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that are whole with this data."""
        data = self._rest + data if self._rest else data
        bodies: list[bytes] = []
        at = 0
        while (start := at + _LENGTH_SIZE) <= len(data):
            end = start + int.from_bytes(data[at:start])
            if end > len(data):
                break
            bodies.append(data[start:end])
            at = end
        self._rest = data[at:]
        return bodies
