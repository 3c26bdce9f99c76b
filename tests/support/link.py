"""A link between two hosts that can be cut: two network namespaces where the machine allows, else a relay that stops.

What is cut is silent, as a border link is: packets go nowhere, and nobody says so.

    near    where a monitor and one node are; commands are started there with `near(words)`
    far     where the other node is
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

NEAR, FAR = "10.77.0.1", "10.77.0.2"  # in namespaces of their own: nobody else sees them
CLONE_NEWNET = 0x40000000

RELAY = """
import asyncio, sys

async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    try:
        there = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class Link(Protocol):
    """A link that is whole at first."""

    def listen_near(self) -> tuple[socket.socket, str]:
        """Return a socket at the near end, bound, and the URL at which it is seen from there."""

    def listen_far(self) -> tuple[socket.socket, str]:
        """Return a socket at the far end, bound, and the URL at which it is seen from the near one."""

    def near(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs another at the near end."""

    def cut(self) -> None:
        """Cut it."""

    def heal(self) -> None:
        """Make it whole."""


@contextmanager
def made() -> Iterator[Link]:
    """Make the best link that this machine allows."""
    name = f"twinlog{os.getpid()}"
    try:
        link: Link = Namespaces(f"{name}n", f"{name}f") if shutil.which("ip") else Relay()
    except subprocess.CalledProcessError:
        link = Relay()
    try:
        yield link
    finally:
        link.heal()
        link.close()  # type: ignore[attr-defined]


class Namespaces:
    """Two namespaces and a pair of interfaces between them."""

    def __init__(self, near: str, far: str) -> None:
        self._near, self._far = near, far
        try:
            for name in (near, far):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", near, "link", "add", "border", "type", "veth", "peer", "name", "border", "netns", far)
            for name, address in ((near, NEAR), (far, FAR)):
                _ip("-n", name, "addr", "add", f"{address}/30", "dev", "border")
                _ip("-n", name, "link", "set", "border", "up")
        except subprocess.CalledProcessError:
            self.close()
            raise

    def listen_near(self) -> tuple[socket.socket, str]:
        return self._listen(self._near, "127.0.0.1")

    def listen_far(self) -> tuple[socket.socket, str]:
        return self._listen(self._far, FAR)

    def _listen(self, name: str, address: str) -> tuple[socket.socket, str]:
        """A socket belongs to the namespace that its thread was in when it made it."""
        made: list[socket.socket] = []

        def work() -> None:
            with open(f"/var/run/netns/{name}", "rb") as file:  # noqa: PTH123
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                    return
            made.append(_bound(address))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return made[0], _url(made[0])

    def near(self, words: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self._near, *words]

    def cut(self) -> None:
        _ip("-n", self._near, "link", "set", "border", "down")

    def heal(self) -> None:
        _ip("-n", self._near, "link", "set", "border", "up")

    def close(self) -> None:
        for name in (self._near, self._far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


class Relay:
    """A process between the two, stopped while the link is cut."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def listen_near(self) -> tuple[socket.socket, str]:
        sock = _bound("127.0.0.1")
        return sock, _url(sock)

    def listen_far(self) -> tuple[socket.socket, str]:
        sock = _bound("127.0.0.1")
        words = [sys.executable, "-c", RELAY, str(sock.getsockname()[1])]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return sock, f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def near(self, words: Sequence[str]) -> list[str]:
        return list(words)

    def cut(self) -> None:
        self._signal(signal.SIGSTOP)

    def heal(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _bound(address: str) -> socket.socket:
    sock = socket.socket()
    sock.bind((address, 0))
    return sock


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()
    return f"http://{host}:{port}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)
