"""All rows, by number."""

from itertools import chain

from tests.catalogue.harness import Row
from tests.catalogue.heads import HEADS
from tests.catalogue.keys import KEYS
from tests.catalogue.own import OWN
from tests.catalogue.people import PEOPLE
from tests.catalogue.tiles import TILES
from tests.catalogue.transport import TRANSPORT
from tests.catalogue.witnesses import WITNESSES

THEMES = (HEADS, TILES, TRANSPORT, WITNESSES, KEYS, OWN, PEOPLE)
ROWS: tuple[Row, ...] = tuple(sorted(chain.from_iterable(theme.rows for theme in THEMES), key=lambda row: row.number))
