"""`twinlog verify-evidence`: whether an object proves what it says, offline, by keys that the caller has pinned.

Exit codes: 0 it is proven; 1 it proves nothing, and why; 2 arguments; 3 it is only suspected: somebody saw it, and no
signature says it (E8).
"""

from pathlib import Path
from typing import Annotated

import typer

from log.client.verifier import verify_identity
from log.errors import SettingsError
from log.evidence.check import Pinned, check
from log.formats.identity import Identity
from log.formats.note import VKey
from log.formats.policy import Policy

EXIT_SUSPECTED = 3

app = typer.Typer()


@app.command("verify-evidence")
def verify_evidence(
    file: Annotated[Path, typer.Argument(help="The object, as a monitor exports it (evidence.json).")],
    identity: Annotated[
        list[Path] | None, typer.Option(help="The identity of the log, from a source that you trust.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A verifier key of the log or the witness.")] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", "-p", help="A tlog-policy file: its logs and witnesses are pinned.")
    ] = None,
    genesis: Annotated[str, typer.Option(help="SHA-256 of the genesis, hex, for what authorities signed.")] = "",
) -> None:
    """Check evidence that a log, a witness or an authority lied. Exit 1: nothing is proven; 3: it is suspected."""
    pinned = _pinned(identity or [], key or [], policy, genesis)
    verdict = check(file.read_bytes(), pinned)
    if not verdict.proven:
        print(f"SUSPECTED ({verdict.kind.value}): {verdict.text}")
        raise typer.Exit(EXIT_SUSPECTED)
    print(f"PROVEN ({verdict.kind.value}): {verdict.text}")


def _pinned(identities: list[Path], keys: list[str], policy: Path | None, genesis: str) -> Pinned:
    known = [verify_identity(path.read_bytes()) for path in identities]
    vkeys = [VKey.parse(text) for text in keys]
    if policy is not None:
        relied_on = Policy.parse(policy.read_bytes())
        vkeys += [line.vkey for line in relied_on.logs] + [line.vkey for line in relied_on.witnesses]
    names = dict.fromkeys(vkey.name for vkey in vkeys if all(vkey.name != each.origin for each in known))
    known += [Identity.make(name, dict.fromkeys(vkey for vkey in vkeys if vkey.name == name)) for name in names]
    if not known and not genesis:
        raise SettingsError(
            "whom do you know? --identity, --key, --policy or --genesis says it, from a source you trust"
        )
    try:
        pin = bytes.fromhex(genesis) if genesis else None
    except ValueError as error:
        raise SettingsError("--genesis is a SHA-256 in hex") from error
    return Pinned(known, vkeys, pin)
