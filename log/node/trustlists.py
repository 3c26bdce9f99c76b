"""Which version of each side's trust list this node uses, so that an old list can never come back.

The head store keeps, per side, the highest version that was ever in use and the digest of its bytes: a lower
version, or other bytes under the same version, is refused whoever signed it.
"""

from collections.abc import Sequence
from hashlib import sha256

from log.certs import trustlist
from log.certs.trustlist import TrustList
from log.errors import LogError, SettingsError, StateRefused
from log.formats.note import VKey
from log.formats.text import decimal
from log.storage import HeadStore, Swap


async def adopt(
    heads: HeadStore, side: str, data: bytes, note: bytes, signers: Sequence[VKey], threshold: int
) -> TrustList:
    """Return the verified list and remember that it is in use. `SettingsError` says why it is not taken."""
    name = f"trustlist/{side}"
    stored = await heads.load(name)
    version, _, digest = (stored or b"0 ").decode().partition(" ")
    try:
        listed = trustlist.verify(data, note, signers, threshold, decimal(version))
    except LogError as error:
        raise SettingsError(f"trust list of {side}: {error}") from error
    new = f"{listed.version} {sha256(data).hexdigest()}".encode()
    if stored is not None and listed.version == int(version) and stored != new:
        raise SettingsError(
            f"trust list of {side}: version {version} was in use with digest {digest}; what has changed since is a "
            f"version of its own: make and sign it with --version {listed.version + 1}"
        )
    if stored != new and await heads.replace(name, stored, new) is not Swap.OK:
        raise StateRefused(f"head store: the version of the trust list of {side} could not be written")
    return listed
