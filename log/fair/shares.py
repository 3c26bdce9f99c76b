"""Shares of a limit: nobody may hold more than what stays free for others.

One client alone thus gets half of the limit, two get a third each, and a newcomer always finds room. Inside what a
client may hold the same goes for its parts (issuers): one part alone gets a quarter of the limit, so that what
comes from the same address by another issuer finds room as well.
"""

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


class Shares:
    """What each client holds of `limit`, and each part of a client. Amounts are whole numbers."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self._clients: Counter[str] = Counter()
        self._parts: Counter[tuple[str, bytes]] = Counter()

    def enter(self, client: str, amount: int, part: bytes | None = None) -> bool:
        """Take `amount` for a client, or for one of its parts; say False, and take nothing, when that is too much."""
        free = self.limit - self.total - amount  # what would be left
        held = self._clients[client] + amount
        if free < 0 or (held > amount and held > free):
            return False
        if part is not None:
            own = self._parts[client, part] + amount
            if own > amount and 2 * own > free - held:
                return False
            self._parts[client, part] = own
        self._clients[client] = held
        self.total += amount
        return True

    def leave(self, client: str, amount: int, part: bytes | None = None) -> None:
        """Give back what `enter` took."""
        self.total -= amount
        _lower(self._clients, client, amount)
        if part is not None:
            _lower(self._parts, (client, part), amount)

    def __len__(self) -> int:
        """Return the number of clients that hold something."""
        return len(self._clients)


def _lower(held: Counter[Key], key: Key, amount: int) -> None:
    left = held[key] - amount
    if left:
        held[key] = left
    else:
        del held[key]
