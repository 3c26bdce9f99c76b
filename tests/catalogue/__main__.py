"""`python -m tests.catalogue certspotter`."""

import sys

from tests.catalogue import demo

if sys.argv[1:] != ["certspotter"]:
    sys.exit("usage: python -m tests.catalogue certspotter")
sys.exit(demo.main())
