"""One fuzzing process, for the parser that the variable FUZZED names; libFuzzer's arguments. atheris ends it, never we.

The name is no argument, because libFuzzer starts this file again with the arguments that it knows.
"""

import os
import sys

import atheris

with atheris.instrument_imports(include=["log", "monitor"]):
    from tests.fuzz.parsers import PARSERS


def main() -> None:
    check = PARSERS[os.environ["FUZZED"]].check
    atheris.Setup(sys.argv, lambda data: check(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
