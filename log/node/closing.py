"""Which logs are closed: for ever, whatever clock or settings say later.

The head store keeps why, `closed/<origin>`, one line of UTF-8. The record is durable before anybody is told (410),
because a client that was told will not come again.
"""

from log.errors import StateRefused, StoreFailed
from log.storage import HeadStore, Swap


def store_name(origin: str) -> str:
    """Return the head store's name for why a log is closed."""
    return f"closed/{origin}"


async def reason(heads: HeadStore, origin: str) -> str:
    """Return why a log is closed, "" when it is open. `StateRefused` when the record cannot be read."""
    value = await heads.load(store_name(origin))
    if value is None:
        return ""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.endswith("\n") or not text[:-1].isprintable() or text == "\n":
        raise StateRefused(f"head store: the record of why {origin} is closed cannot be read")
    return text[:-1]


async def close(heads: HeadStore, origin: str, why: str) -> None:
    """Write down that a log is closed, and why: one printable line. The first reason stays."""
    swap = await heads.replace(store_name(origin), None, f"{why}\n".encode())
    if swap is Swap.UNKNOWN:
        raise StoreFailed(f"head store: outcome of closing {origin} is unknown")
