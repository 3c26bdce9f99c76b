"""Every word of the command line is found alone, and among all."""

import subprocess
import sys

from typer.main import get_command

from log import cli

WORDS = {*cli.GROUPS, *(word for words in cli.COMMANDS.values() for word in words)}


def words(app: object) -> set[str]:
    return set(app.commands)  # type: ignore[attr-defined]


def test_the_tables_name_what_there_is() -> None:
    assert words(get_command(cli.app_of(""))) == WORDS
    assert words(get_command(cli.app_of("--help"))) == words(get_command(cli.app_of("unheard-of"))) == WORDS


def test_a_word_brings_its_own_module_and_no_other() -> None:
    for word in WORDS:
        found = words(get_command(cli.app_of(word)))
        assert word in found
        assert found == {word} or found in [set(names) for names in cli.COMMANDS.values()]


def test_whoever_verifies_does_not_load_a_node() -> None:
    loaded = "import sys; from log import cli; cli.app_of('verify'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    assert not {"fastapi", "plyvel", "uvicorn", "log.main", "log.process", "log.state", "pydantic_settings"} & set(
        done.stdout.split()
    )
