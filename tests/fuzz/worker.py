"""One fuzzing process: `python -m tests.fuzz.worker PARSER [libFuzzer's arguments]`. atheris ends it, never we."""

import sys

import atheris

with atheris.instrument_imports(include=["log", "monitor"]):
    from tests.fuzz.parsers import PARSERS


def main() -> None:
    check = PARSERS[sys.argv.pop(1)].check
    atheris.Setup(sys.argv, lambda data: check(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
