"""The bytes and lines of the wire, one file a format; no input, output, clock or key in this package.

Every `parse` accepts only what the matching `encode` writes, and raises `Malformed` for all else.
"""
