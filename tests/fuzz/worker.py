"""One job of fuzzing: reads orders, a line of JSON each, and answers each with the exit code of its own child.

The code under test is instrumented once, which takes longer than a short run, and every parser runs in a fork of that.
atheris ends the fork, never we. To merge corpora libFuzzer starts this file again, with the arguments that it knows, so
the variable FUZZED then says which parser is meant.
"""

import json
import os
import sys
from collections.abc import Sequence

import atheris

with atheris.instrument_imports(include=["log", "monitor"]):
    from tests.fuzz.parsers import PARSERS


def fuzz(name: str, arguments: Sequence[str]) -> None:
    """Fuzz one parser; does not return."""
    check = PARSERS[name].check
    os.environ["FUZZED"] = name
    atheris.Setup([sys.argv[0], *arguments], lambda data: check(data) and None)
    atheris.Fuzz()


def child(order: dict[str, str | list[str]]) -> int:
    """Carry out one order in a fork, with what it says in the file `output`; return its exit code."""
    number = os.fork()
    if number == 0:
        said = os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(said, stream)
        fuzz(str(order["parser"]), list(order["arguments"]))
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def main() -> None:
    if name := os.environ.get("FUZZED"):
        fuzz(name, sys.argv[1:])
    for line in sys.stdin:
        print(child(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
