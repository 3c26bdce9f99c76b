"""`twinlog`: a node's operator, a submitter, a relying party and an auditor at a terminal.

Exit codes: 0 done; 1 what was checked is wrong, or something was refused; 2 settings or arguments; of `serve` see
`log.main`, of `submit` `log.cli.submit`. A command is ten lines over the layers below it.
"""

import sys

import typer

from log.cli import client, events, governance, node, records, trust, trustlists
from log.errors import LogError, SettingsError
from log.main import EXIT_SETTINGS

app = typer.Typer(
    name="twinlog",
    help="A certificate-transparency log with two witnessing sides: node, client, verifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
node.register(app)
client.register(app)
app.add_typer(trustlists.app, name="trustlist")
app.add_typer(governance.app, name="governance")
app.add_typer(trust.app, name="trust")
app.add_typer(events.app, name="event")
app.add_typer(records.app, name="records")


def main() -> None:
    """Run the command line; turn an error of ours into one line and an exit code."""
    try:
        app()
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
