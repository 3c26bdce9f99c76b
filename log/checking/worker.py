"""The checking process: reads chains from the socket that is its standard input, answers on it, holds no secret.

It ends when the node's end of the socket closes, however the node ended, and at no signal meant for the node.
"""

import signal
import socket
import sys
from hashlib import sha256

from log import heap
from log.certs.chain import Anchor, ChainChecker, Limits, Window
from log.checking.messages import Admit, Check, Frames, Refuse, Rules, decode_order, frame

RECEIVE_BYTES = 256 << 10  # read at once
ANSWER_EACH = 16  # checks after which answers are sent, while more wait


def main() -> int:
    """Answer until the node is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group by a terminal; the node ends us
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=sys.stdin.fileno()) as node:
        worker = Worker()
        frames = Frames()
        try:
            with heap.settled():
                while data := node.recv(RECEIVE_BYTES):
                    bodies = frames.feed(data)
                    for at in range(0, len(bodies), ANSWER_EACH):
                        node.sendall(b"".join([worker.answer(body) for body in bodies[at : at + ANSWER_EACH]]))
        except ConnectionError:
            return 0  # the node ended in the middle of something
    return 0


class Worker:
    """One checker for each log."""

    def __init__(self) -> None:
        self._checkers: dict[str, ChainChecker] = {}

    def answer(self, body: bytes) -> bytes:
        """Return the frame that answers a message; b"" for rules."""
        order = decode_order(body)
        if isinstance(order, Rules):
            self._checkers[order.log_name] = _checker(order)
            return b""
        return frame(self._check(order))

    def _check(self, order: Check) -> Admit | Refuse:
        try:
            admitted = self._checkers[order.log_name].check(order.chain, order.precert)
        except Exception as error:  # noqa: BLE001 - one chain's bug must not strand the others; the node logs it
            return Refuse.of(order.number, error)
        parts = admitted.parts
        digests = tuple(digest for digest, _ in admitted.certificates)
        return Admit(order.number, parts.head, parts.tail, digests, sha256(admitted.signer.spki).digest())


def _checker(rules: Rules) -> ChainChecker:
    return ChainChecker(
        [Anchor(certificate, weak_hash) for certificate, weak_hash in rules.anchors],
        allow_precert_signing=rules.precert_signing,
        window=None if rules.window is None else Window(*rules.window),
        shards={taker: Window(*window) for taker, window in rules.shards},
        limits=Limits(max_chain=rules.max_chain),
    )


if __name__ == "__main__":
    sys.exit(main())
