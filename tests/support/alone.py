"""A machine with Python, this checkout and `cryptography`: what a court has."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import cryptography

CHECKOUT = Path(__file__).resolve().parents[2]
_NEEDED = ("cryptography", "cffi", "_cffi_backend*", "pycparser", "typing_extensions.py")

_BEGIN = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
folder = Path(sys.argv[3])
read = lambda name: (folder / name).read_bytes()
"""
_END = """
packages = {name.partition(".")[0] for name in sys.modules}
print(*sorted(packages & {"httpx", "fastapi", "pydantic", "plyvel", "typer"}))
"""


def run_alone(folder: Path, script: str, files: Mapping[str, bytes]) -> tuple[list[str], str]:
    """Run a script there, with `read(name)` for these files; return the words it prints and its standard error.

    The words end with those packages that it should not have imported.
    """
    packages, held = folder / "packages", folder / "files"
    packages.mkdir()
    held.mkdir()
    site = Path(cryptography.__file__).parents[1]
    for found in (path for pattern in _NEEDED for path in site.glob(pattern)):
        (packages / found.name).symlink_to(found)
    for name, content in files.items():
        (held / name).write_bytes(content)
    command = [sys.executable, "-I", "-S", "-c", _BEGIN + script + _END, str(CHECKOUT), str(packages), str(held)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return ran.stdout.split(), ran.stderr
