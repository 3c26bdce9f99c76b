"""Certificates at hand, judged offline by the same rules as those in a log."""

import base64
from collections.abc import Sequence
from pathlib import Path

from log.errors import SettingsError
from monitor.rules.case import Hit, Lists, at_hand
from monitor.rules.engine import Engine
from monitor.rules.limits import Limits


def judge(files: Sequence[Path], lists: Lists, limits: Limits) -> list[tuple[str, list[Hit]]]:
    """Judge certificates in files, DER or PEM; `SettingsError` for no file.

    Nothing is written. Rules that need an index are not among these. What is no certificate is judged too, as that.
    """
    found = [(path, _certificates(path)) for path in files]
    every, engine = [data for _, listed in found for data in listed], Engine(limits)
    return [(path.name, engine.judge(at_hand(data, every, lists, limits))) for path, all_ in found for data in all_]


def _certificates(path: Path) -> list[bytes]:
    """Return the certificates in a file: those of a PEM, else the file as it is."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise SettingsError(f"cannot read {path.name}: {e.strerror}") from e
    blocks = data.split(b"-----BEGIN CERTIFICATE-----")[1:]
    try:
        return [base64.b64decode(block.partition(b"-----END")[0]) for block in blocks] or [data]
    except ValueError as e:
        raise SettingsError(f"{path.name} is no PEM: {e}") from e
