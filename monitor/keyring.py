"""The keys of a monitor: made once, read at each start."""

from dataclasses import dataclass

from log.crypto import keys
from log.crypto.mldsa import mldsa_available
from log.crypto.notes import NoteSigner
from log.errors import SettingsError
from monitor.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """What a monitor signs with."""

    witness: NoteSigner  # 0x04
    guard: NoteSigner  # 0x01
    mldsa: NoteSigner | None = None  # 0x06, beside `witness`

    @property
    def cosigners(self) -> tuple[NoteSigner, ...]:
        """Those that cosign, 0x04 first."""
        return (self.witness,) if self.mldsa is None else (self.witness, self.mldsa)


def load(settings: Settings) -> Keys:
    """Return the monitor's keys; raise `SettingsError`."""
    if not (settings.keys / "witness.pem").exists():
        raise SettingsError(f"no keys in {settings.keys}: `twinlog-monitor init` makes keys and state, once")
    witness, *second = keys.load_witness_keys(settings.keys, settings.name)
    found = Keys(witness, keys.load_guard_key(settings.keys, settings.name), *second)
    keys.require_distinct([*found.cosigners, found.guard])
    return found


def make(settings: Settings) -> Keys:
    """Make the keys that are not there yet, and return all."""
    if not (settings.keys / "witness.pem").exists():
        keys.generate_witness_keys(settings.keys)
    elif not (settings.keys / "witness.mldsa.pem").exists() and mldsa_available():
        keys.generate_witness_mldsa_key(settings.keys)
    if not (settings.keys / "guard.pem").exists():
        keys.generate_guard_key(settings.keys)
    return load(settings)
