"""The stores of engines.py as fixtures of this folder."""

from tests.storage.engines import data, heads, index, records

__all__ = ["data", "heads", "index", "records"]
