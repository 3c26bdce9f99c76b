"""The stores of engines.py as fixtures of this folder."""

from tests.storage.engines import data, heads, index

__all__ = ["data", "heads", "index"]
