"""Listening sockets of nodes and monitors: bound before anything is built on them, and known for whom they reach."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from log.errors import SettingsError

BACKLOG = 2048  # connections that wait to be accepted


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: the server's certificate with its chain, and its private key."""

    certificate: Path
    key: Path


def listen(address: str) -> socket.socket:
    """Bind `host:port` (port 0: any free one). `SettingsError` when it is taken or no address."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise SettingsError(f"listen: {address} names no address; 0.0.0.0 and [::] are every one")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(BACKLOG)
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise SettingsError(f"listen: cannot bind {address}: {error}") from error
    return listener


def url_of(listener: socket.socket, tls: Tls | None) -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def stays_here(listener: socket.socket) -> bool:
    """Say whether a bound socket is reached from this machine alone."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
