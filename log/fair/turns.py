"""Turns: a queue in which clients take turns, and the issuers of one client among themselves.

Whoever has a thousand things waiting delays a newcomer by one of them, not by a thousand. Clients come first,
because an address cannot be claimed at will and an issuer can.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """First in, first out for each issuer of each client."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, OrderedDict[bytes, deque[Item]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: str, issuer: bytes, item: Item) -> None:
        """Add an item behind those of the same client and issuer."""
        self._clients.setdefault(client, OrderedDict()).setdefault(issuer, deque()).append(item)
        self._count += 1

    def take(self) -> Item:
        """Remove and return what is next; there must be something."""
        client, issuers = next(iter(self._clients.items()))
        issuer, items = next(iter(issuers.items()))
        item = items.popleft()
        self._count -= 1
        if items:
            issuers.move_to_end(issuer)
        else:
            del issuers[issuer]
        if issuers:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        return item
