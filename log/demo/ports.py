"""Ports for processes that are told where to listen, and that listen there again after a restart."""

import atexit
import socket
from collections import deque

MOST = 256  # ports that are kept at a time: more than any deployment has

_kept: deque[socket.socket] = deque()


def own_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, and that nobody else on this machine is given meanwhile.

    A socket keeps it that is bound and does not listen. The system gives such a port to nobody who asks for any, and
    to no connection that goes out, but lets whoever asks for this one listen on it (SO_REUSEADDR, on Linux).
    """
    if len(_kept) == MOST:
        _kept.popleft().close()
    keeper = socket.socket()
    _kept.append(keeper)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    port: int = keeper.getsockname()[1]
    return port


@atexit.register
def _let_go() -> None:
    while _kept:
        _kept.pop().close()
