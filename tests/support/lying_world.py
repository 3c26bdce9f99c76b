"""Two nodes whose logs may lie, between them the settings of a monitor; in this process, or on sockets."""

import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from log.formats.family import GOVERNANCE, X509
from log.formats.policy import Policy
from tests.support import plain
from tests.support.hostile import IN_PROCESS
from tests.support.lying_log import LyingLog, Receive, Scope, Send
from tests.support.lying_node import LyingNode

Listen = Callable[[], tuple[socket.socket, str]]  # a bound socket, and its URL


class World:
    """Two nodes, `hk` with two logs and `gd` with one, and a monitor that is guard and outside witness of both."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self.time_ms = 1_800_000_000_000
        self.clock = clock or (lambda: self.time_ms)
        self.hk_x509 = LyingLog("x509", "hk.example/x509", X509, self.clock)
        self.hk_governance = LyingLog("governance", "hk.example/governance", GOVERNANCE, self.clock)
        self.gd_x509 = LyingLog("x509", "gd.example/x509", X509, self.clock)
        self.hk = LyingNode("hk", [self.hk_x509, self.hk_governance], self.clock)
        self.gd = LyingNode("gd", [self.gd_x509], self.clock)
        self.nodes = (self.hk, self.gd)
        self.outside: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None  # whoever is at http://out

    @property
    def logs(self) -> list[LyingLog]:
        return [followed for node in self.nodes for followed in node.logs.values()]

    async def begin(self, sizes: Mapping[str, int] | None = None) -> None:
        """Give every log its first entries and head."""
        for followed in self.logs:
            followed.add((sizes or {}).get(followed.origin, 300))
            await followed.sign()

    def write(self, folder: Path, urls: Mapping[str, str], extra: str = "", limits: str = "") -> Path:
        """Write the monitor's settings, keys and policies into a folder; return the settings file."""
        from monitor import keyring
        from monitor import settings as monitor_settings

        path = folder / "monitor.toml"
        head = 'name = "monitor.example/m"\nstate = "state/monitor.sqlite"\nkeys = "keys"\n'
        path.write_text(head)
        made = keyring.make(monitor_settings.load(path))
        lines = [head, 'near = ["hk", "gd"]\n', extra]
        for node in self.nodes:
            node.push_key = made.guard.vkey
            url = urls[node.name]
            lines.append(f'[[nodes]]\nname = "{node.name}"\nurl = "{url}"\n')
            lines.append(f'[nodes.witness]\nname = "{node.name}"\nvkey = "{node.witness.signer.vkey.encode()}"\n')
            lines.append(f'url = "{url}/witness"\n')
            peers = [other for other in self.nodes if other is not node]
            for followed in node.logs.values():
                policy = "".join(f"witness {peer.name} {peer.witness.signer.vkey.encode()}\n" for peer in peers)
                policy += f"witness mon {made.witness.vkey.encode()}\n"
                policy += f"group all all mon {' '.join(peer.name for peer in peers)}\nquorum all\n"
                followed.policy = Policy.parse(policy)
                (folder / f"{node.name}-{followed.name}.policy").write_text(policy)
                lines.append(f'[[nodes.logs]]\nname = "{followed.name}"\nfamily = "{followed.family.name}"\n')
                lines.append(f'origin = "{followed.origin}"\nurl = "{url}/{followed.name}"\n')
                lines.append(f"vkeys = {json.dumps([vkey.encode() for vkey in followed.vkeys])}\n")
                lines.append(f'policy = "{node.name}-{followed.name}.policy"\n')
                for peer in peers:
                    peer.witness.known[followed.origin] = followed.vkeys
        path.write_text("".join([*lines, f"[limits]\n{limits}"]))
        return path

    @property
    def reachable(self) -> Sequence[LyingNode]:
        """The nodes that there are, whether or not the settings name them."""
        return self.nodes

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches the nodes at http://hk and http://gd, in this process, and http://out."""
        mounts = {f"http://{node.name}": httpx.ASGITransport(app=node, client=IN_PROCESS) for node in self.reachable}
        return plain.client(mounts={**mounts, "http://out": httpx.ASGITransport(app=self._out, client=IN_PROCESS)})

    async def _out(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.outside is not None, "nobody is there"
        await self.outside(scope, receive, send)


@contextmanager
def served(nodes: Sequence[LyingNode], listen: Mapping[str, Listen] | None = None) -> Iterator[dict[str, str]]:
    """Serve nodes on real sockets, in a thread with a loop of its own; yield their URLs by name.

    `listen` gives the socket of a node, and its URL, by the node's name.
    """
    servers, threads, urls = [], [], {}
    for node in nodes:
        sock, urls[node.name] = (listen or {}).get(node.name, _listen)()
        config = uvicorn.Config(
            node, log_config=None, lifespan="off", ws="none", date_header=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        servers.append(server)
        threads.append(thread)
    try:
        while not all(server.started for server in servers):
            time.sleep(0.01)
        yield urls
    finally:
        for server in servers:
            server.should_exit = True
        for thread in threads:
            thread.join(60)


def _listen() -> tuple[socket.socket, str]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"
