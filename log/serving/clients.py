"""Who sends a request, as far as limits ask: an address.

It is that of the connection's other end; behind a proxy, the last of X-Forwarded-For, which that proxy wrote
itself (what stands before it came from the client). An IPv6 client has a whole /64 at its disposal, so the /64 is
what counts.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

REMEMBERED = 8192  # addresses whose client is remembered, about 200 bytes each
PREFIX_BITS = 64  # of an IPv6 address
MAX_ADDRESS_CHARS = 64  # no longer text is an address


class Clients:
    """Names the client of a request."""

    def __init__(self, *, behind_proxy: bool) -> None:
        self._behind_proxy = behind_proxy

    def of(self, scope: Mapping[str, Any]) -> str:
        """Return the client's name; "" when the connection has no address, as a pipe has none."""
        peer = (scope.get("client") or ("", 0))[0]
        if self._behind_proxy and (hop := _last_hop(scope["headers"])) and (named := client_of(hop)):
            return named
        return client_of(peer) or peer


def _last_hop(headers: Iterable[tuple[bytes, bytes]]) -> str:
    hops = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    hop = hops.rpartition(b",")[2].strip()
    return hop.decode("ascii", "replace") if len(hop) <= MAX_ADDRESS_CHARS else ""


@lru_cache(REMEMBERED)
def client_of(text: str) -> str:
    """Return an address as a client's name; "" when it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, PREFIX_BITS), strict=False))
