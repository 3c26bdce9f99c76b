"""Evidence as one file to hand on: what a court needs, and nothing that it has to believe us (monitoring.md §5.4).

evidence.json   the object
notes/N.txt     the signed texts in it, raw
context.json    where and when we met them: our word, proven by nothing
VERIFY.txt      how to check it
verify.py       the script that checks it with Python and `cryptography` alone
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from log.evidence import standalone
from log.formats import jcs
from log.formats.text import b64decode
from monitor.store import Evidence

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can tell: the same evidence gives the same file


@dataclass(frozen=True, slots=True)
class Met:
    """Where a signed text was met first."""

    source: str
    received_ms: int


VERIFY = """\
This is evidence of kind {kind} against {subject}: {title}.

Check it without trusting whoever gave it to you. You need a verifier key of the accused from a source that you trust,
such as the statement of identity that the log publishes, governance, or an earlier proof in your own files. Never take
the key from this folder.

    pip install cryptography
    python3 verify.py evidence.json '<verifier key>' ['<another key of the same log>' …]

or with Twinlog:

    twinlog verify-evidence evidence.json --identity FILE | --policy FILE | --key '<verifier key>' | --genesis <SHA-256>

`verify.py` is short, so that you can read it. Evidence of kind E8 is suspected and not proven by anybody's signature;
kind E9 needs the genesis of governance, and `twinlog`. What stands in context.json is proven by nothing.
"""


def notes(evidence: Evidence) -> list[bytes]:
    """Return the signed texts in an object."""
    value = jcs.parse(evidence.object)
    if not isinstance(value, dict):
        return []
    texts = value.get("heads", value.get("actions"))
    return [b64decode(text) for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


def bundle(evidence: Evidence, met: Sequence[Met | None]) -> bytes:
    """Return the zip; `met` says of each of `notes` where it was met first, or None where that is not known."""
    context = {
        "unproven": "this is what a monitor says of itself; nothing signs it",
        "id": evidence.id.hex(),
        "found_ms": evidence.found_ms,
        "met": [None if each is None else asdict(each) for each in met],
    }
    files = {
        "evidence.json": evidence.object,
        **{f"notes/{number}.txt": note for number, note in enumerate(notes(evidence), 1)},
        "context.json": json.dumps(context, indent=1).encode() + b"\n",
        "VERIFY.txt": VERIFY.format(
            kind=evidence.kind.value, subject=evidence.origin, title=evidence.kind.title
        ).encode(),
        "verify.py": Path(standalone.__file__).read_bytes(),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()
