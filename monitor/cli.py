"""The command `twinlog-monitor`. Each command is a few lines over `main`.

Exit codes: of `run --once` see `monitor.outcome.exit_code`; `run` 0 when it was stopped; every
command 3 for what is wrong with our own state or settings.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from log.errors import LogError, NotFound
from log.formats.dates import date
from monitor import export, journal, keyring, process
from monitor import main as root
from monitor import settings as config
from monitor import status as state_status
from monitor.board import as_json
from monitor.outcome import Outcome
from monitor.rules.engine import BY_ITSELF, BY_LISTS
from monitor.rules.table import BY_CODE, SEVERITIES
from monitor.store import Evidence, Store

app = typer.Typer(
    name="twinlog-monitor",
    help="Follows every log from outside, verifies it, carries heads across.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

alerts = typer.Typer(help="What was told, and to whom.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")

ONCE = (
    "One round, then exit: 0 all well; 1 a lie is proven; 2 not reached; 3 our own state or settings; 4 does not"
    " verify; 5 a certificate waits for a person; 6 a promise is kept in part only."
)

SettingsFile = Annotated[
    Path, typer.Option("--settings", help="The settings, a TOML file.", exists=False, dir_okay=False)
]


@app.command()
def keygen(settings: SettingsFile) -> None:
    """Make the keys that are missing; print the verifier keys that nodes need."""
    with _own_errors():
        _print_keys(keyring.make(config.load(settings)))


@app.command()
def init(settings: SettingsFile) -> None:
    """Make the state, once, and missing keys; print the verifier keys that nodes need."""
    with _own_errors():
        loaded = config.load(settings)
        made = keyring.make(loaded)
        root.create_state(loaded)
        _print_keys(made)


@app.command()
def run(
    settings: SettingsFile,
    once: Annotated[bool, typer.Option("--once", help=ONCE)] = False,
) -> None:
    """Follow, verify, guard, feed."""
    journal.write_lines()
    with _own_errors():
        loaded = config.load(settings)
        if once:
            outcome = uvloop.run(process.once(loaded))
            raise typer.Exit(outcome)
        uvloop.run(process.run(loaded))


@app.command()
def status(settings: SettingsFile) -> None:
    """Print what the state knows of each log and of governance, a sentence each. Also beside a running monitor."""
    with _own_errors():
        loaded = config.load(settings)
        store = Store.read(loaded.state)
        try:
            governed = root.governed_of(loaded, store)
            nodes = root.look_of(loaded, keyring.load(loaded), store, governed)().nodes
            logs = [followed for node in nodes for followed in node.logs]
            for sentence in state_status.sentences(store, logs, loaded.bounds(), root.now_ms()):
                typer.echo(sentence)
            if governed is not None:
                for sentence in state_status.governance(store, governed, logs):
                    typer.echo(sentence)
            for sentence in state_status.alerts(store, [table.name for table in loaded.channels]):
                typer.echo(sentence)
        finally:
            store.close()


@alerts.command("list")
def list_alerts(
    settings: SettingsFile,
    every: Annotated[bool, typer.Option("--all", help="Those that are over too, newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 1_000,
) -> None:
    """Print the alerts that last, the gravest first. Also beside a running monitor."""
    with _own_errors():
        store = Store.read(config.load(settings).state)
        try:
            for kept in store.alerts(limit=limit) if every else store.gravest(limit):
                typer.echo(state_status.alert(kept))
            lasting = sum(store.alert_counts().values())
            if not every and lasting > limit:
                typer.echo(f"{lasting - limit:,} further alerts last: --limit shows more of them", err=True)
        finally:
            store.close()


@alerts.command("test")
def test_channel(
    settings: SettingsFile, channel: Annotated[str, typer.Argument(help="Its name in the settings.")]
) -> None:
    """Send a test alert to one channel. Exit 2 when it was not told."""
    with _own_errors():
        error = asyncio.run(process.try_channel(config.load(settings), channel))
        typer.echo(f"channel {channel}: {error or 'told'}")
        if error:
            raise typer.Exit(Outcome.UNREACHED)


@alerts.command()
def acknowledge(
    settings: SettingsFile,
    keys: Annotated[list[str], typer.Argument(help="The alerts' keys, as `alerts list` prints them, each in quotes.")],
    by: Annotated[str, typer.Option("--by", help="Who has seen them.")],
) -> None:
    """Record who has seen alerts. One that is proven ends by this, once it is found no longer."""
    with _own_errors():
        store = Store.beside(config.load(settings).state)
        try:
            unknown = [key for key in keys if not store.acknowledge(key, by, root.now_ms())]
            if unknown:
                raise NotFound(f"no alert with the key {', '.join(map(repr, unknown))} lasts: see `alerts list`")
        finally:
            store.close()


evidence = typer.Typer(help="What logs, witnesses and authorities are convicted of.", no_args_is_help=True)
app.add_typer(evidence, name="evidence")


@evidence.command("list")
def list_evidence(settings: SettingsFile) -> None:
    """Print a line for each object: its id, its kind, whom it is about, when it was found, and what it is."""
    with _reading(settings) as store:
        for each in store.all_evidence():
            typer.echo(f"{each.id.hex()} {each.kind.value} {each.origin} {date(each.found_ms)}: {each.kind.title}")


EvidenceId = Annotated[str, typer.Argument(help="Its id, or the beginning of it, as `list` prints it.")]


@evidence.command()
def show(id_: EvidenceId, settings: SettingsFile) -> None:
    """Print one object and the signed texts in it."""
    with _reading(settings) as store:
        found = _find(store, id_)
        typer.echo(f"evidence {found.id.hex()}: {found.kind.value} against {found.origin}: {found.kind.title}")
        for number, note in enumerate(export.notes(found), 1):
            met = store.met(note)
            where = "" if met is None else f", met first from {met[0]} at {date(met[1])}"
            typer.echo(f"\nsigned text {number}{where}:\n{note.decode('utf-8', 'replace')}")
        typer.echo(found.object.decode())


@evidence.command("export")
def export_evidence(
    id_: EvidenceId,
    settings: SettingsFile,
    out: Annotated[Path, typer.Option(help="Where to write the zip.")] = Path("evidence.zip"),
) -> None:
    """Write a zip that anyone can check offline: the object, the signed texts, a script and how to use it."""
    with _reading(settings) as store:
        found = _find(store, id_)
        places = [store.met(note) for note in export.notes(found)]
        out.write_bytes(export.bundle(found, [None if place is None else export.Met(*place) for place in places]))
        typer.echo(f"{out}: {found.kind.value} against {found.origin}; to check it:")
        typer.echo(f"twinlog verify-evidence {out} --policy FILE")


findings = typer.Typer(help="What rules have found in certificates and in their use.", no_args_is_help=True)
app.add_typer(findings, name="findings")


@findings.command("list")
def list_findings(
    settings: SettingsFile,
    code: Annotated[str, typer.Option(help="Of this rule only.")] = "",
    severity: Annotated[str, typer.Option(help="critical, high, medium or low only.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 100,
) -> None:
    """Print a line for each finding, newest first: its number, rule, severity, how sure it is, where, what."""
    if severity and severity not in SEVERITIES:
        raise typer.BadParameter(f"one of {', '.join(SEVERITIES)}", param_hint="--severity")
    if code and not (code in BY_CODE and BY_CODE[code].judged):
        codes = ", ".join(each.code for each in BY_CODE.values() if each.judged)
        raise typer.BadParameter(f"one of {codes}", param_hint="--code")
    with _reading(settings) as store:
        for kept in store.findings(code=code, severity=severity, limit=limit):
            each = kept.finding
            where = "" if each.place is None else f" {each.place.origin} {each.place.index}"
            typer.echo(f"{kept.seq} {each.code} {each.severity} {each.cls.value}{where}: {each.text}")


@findings.command("show")
def show_finding(
    number: Annotated[int, typer.Argument(help="Its number, as `list` prints it.")], settings: SettingsFile
) -> None:
    """Print one finding as JSON, with every place where the certificate stands."""
    with _reading(settings) as store:
        kept = store.finding(number)
        if kept is None:
            raise NotFound(f"no finding has the number {number}")
        places = [
            {"log": p.origin, "index": p.index, "logged_ms": p.time_ms} for p in store.sightings(kept.finding.about)
        ]
        typer.echo(json.dumps(as_json(kept) | {"sightings": places}, indent=2, ensure_ascii=False))


@app.command()
def judge(
    files: Annotated[list[Path], typer.Argument(help="Certificates, DER or PEM; each may be the issuer of others.")],
    settings: Annotated[
        Path | None, typer.Option("--settings", help="For trust lists and limits; without it no list is known.")
    ] = None,
) -> None:
    """Judge certificates at hand, offline. Exit 1 when a rule fires, 3 for a file that cannot be read."""
    with _own_errors():
        fired, loaded = False, None if settings is None else config.load(settings)
        listed = loaded is not None and bool(loaded.governance or loaded.trustlists)
        judged = ", ".join(code for code in BY_ITSELF if listed or code not in BY_LISTS)
        for name, hits in root.judge_files(files, loaded):
            for hit in hits:
                fired = True
                typer.echo(f"{name}: {hit.code} {hit.severity or BY_CODE[hit.code].severity}: {hit.text}")
            if not hits:
                typer.echo(f"{name}: nothing found by {judged}")
        if not listed:
            typer.echo(f"not judged, for no trust list is known: {', '.join(BY_LISTS)} (see --settings)", err=True)
        raise typer.Exit(1 if fired else 0)


def main() -> None:
    """Run the command line."""
    app()


def _print_keys(made: keyring.Keys) -> None:
    typer.echo(f"cosigner {made.witness.vkey.encode()}")
    typer.echo(f"push {made.guard.vkey.encode()}")
    if made.mldsa is not None:
        typer.echo(f"mldsa {made.mldsa.vkey.encode()}")


def _find(store: Store, text: str) -> Evidence:
    found = [each for each in store.all_evidence() if each.id.hex().startswith(text.lower())]
    if len(found) != 1:
        raise NotFound(f"{len(found)} evidence objects have an id that begins with {text[:64]}")
    return found[0]


@contextmanager
def _reading(settings: Path) -> Iterator[Store]:
    """Open the state to look into it, also beside a running monitor."""
    with _own_errors():
        store = Store.read(config.load(settings).state)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _own_errors() -> Iterator[None]:
    """End with 3 for an error of our own state or settings: peers' errors never come this far."""
    try:
        yield
    except LogError as e:
        typer.echo(f"twinlog-monitor: {e}", err=True)
        raise typer.Exit(Outcome.OWN) from e
