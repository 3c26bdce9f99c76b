"""`python -m log` is `twinlog`."""

from log.cli import main

main()
