"""`twinlog`: a node's operator, a submitter, a relying party and an auditor at a terminal.

Exit codes: 0 done; 1 what was checked is wrong, or something was refused; 2 settings or arguments; of `serve` see
`log.process`, of `submit` `log.cli.submit`. A command is ten lines over the layers below it.
"""

import sys
from importlib import import_module

import typer

from log.cli.codes import EXIT_SETTINGS
from log.errors import LogError, SettingsError

# Where each word stands: only what was asked for is read, with what it needs. A relying party who verifies a proof
# does not wait for a node to be loaded.
COMMANDS = {  # by module
    "node": ("keygen", "init", "serve", "halts"),
    "demo": ("demo",),
    "submit": ("submit",),
    "client": ("get", "prove", "verify", "upgrade"),
    "audit": ("audit",),
    "restore": ("restore",),
    "evidence": ("verify-evidence",),
}
GROUPS = {  # by word
    "trustlist": "trustlists",
    "governance": "governance",
    "trust": "trust",
    "event": "events",
    "records": "records",
}


def app_of(word: str) -> typer.Typer:
    """Return the app for a command line that begins with this word: with all commands when it is none of ours."""
    app = typer.Typer(
        name="twinlog",
        help="A certificate-transparency log with two witnessing sides: node, client, verifier.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(lambda: None)  # so that one command alone stays a command
    known = word in GROUPS or any(word in words for words in COMMANDS.values())
    for module, words in COMMANDS.items():
        if word in words or not known:
            app.add_typer(import_module(f"log.cli.{module}").app)
    for name, module in GROUPS.items():
        if word == name or not known:
            app.add_typer(import_module(f"log.cli.{module}").app, name=name)
    return app


def main() -> None:
    """Run the command line; turn an error of ours into one line and an exit code."""
    try:
        app_of("".join(sys.argv[1:2]))()
    except SettingsError as error:
        sys.stderr.write(f"twinlog: {error}\n")
        raise SystemExit(EXIT_SETTINGS) from None
    except OSError as error:  # a file that a command was given, or where it was to write
        if error.filename is None:
            raise
        sys.stderr.write(f"twinlog: {error.filename}: {error.strerror}\n")
        raise SystemExit(EXIT_SETTINGS) from None
    except LogError as error:
        sys.stderr.write(f"twinlog: {error}\n")
        raise SystemExit(1) from None
